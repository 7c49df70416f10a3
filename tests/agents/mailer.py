"""An agent whose calls people take back: before they begin, while they run, and between their attempts."""

from __future__ import annotations

import os
import time
from pathlib import Path

import requests

import gatekeeper
from gatekeeper import Effect


def send(key: str) -> None:
    requests.post(f"{os.environ['EFFECTS_URL']}/{key}", json={}, timeout=10).raise_for_status()


def wait_for(name: str) -> None:
    """Until a test says so by making a file."""
    note = Path(os.environ["NOTES_DIR"]) / name
    note.with_suffix(".here").touch()
    deadline = time.monotonic() + 30
    while not note.exists():
        assert time.monotonic() < deadline, name
        time.sleep(0.05)


@gatekeeper.task(key="mail:{to}", effect=Effect())
def mail(to: str) -> str:
    """Send one mail."""
    with gatekeeper.effect(payload=to):
        send(f"mail:{to}")
    return to


@gatekeeper.task(key="slow:{to}", effect=Effect())
def mail_slowly(to: str) -> str:
    """Send one mail, and wait before the effect and behind it."""
    wait_for(f"before-{to}")
    with gatekeeper.effect(payload=to):
        wait_for(f"behind-{to}")
        send(f"slow:{to}")
    return to


@gatekeeper.task(key="again:{to}", effect=Effect(), attempts=5, backoff="1h")
def mail_again(to: str) -> str:
    """Fail before the effect, so that the next attempt comes in an hour."""
    raise ValueError("not yet")


@gatekeeper.task(key="note:{text}")
def note(text: str) -> str:
    """Do something that is safe to repeat."""
    return text
