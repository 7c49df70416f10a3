"""Tasks whose services refuse for a while, or for good, as a test agent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import requests
from clerk import note

import gatekeeper
from gatekeeper import Breaker, Effect, Rate


def base_url() -> str:
    """Where the service is now: a test may move it."""
    try:
        return (Path(os.environ["NOTES_DIR"]) / "url").read_text().strip()
    except FileNotFoundError:  # also if it is removed at this moment
        return os.environ["EFFECTS_URL"]


def send(key: str, body: Any) -> dict[str, Any]:
    answer = requests.post(f"{base_url()}/{key}", json=body, timeout=10)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


@gatekeeper.task(key="patient:{name}", effect=Effect(), attempts=3, backoff="400ms")
def publish(name: str) -> dict[str, Any]:
    """One effect; its attempts are counted by what the task itself notes."""
    note(f"tried-{name}", "now")
    with gatekeeper.effect(payload={"name": name}) as frozen:
        return send(f"patient:{name}", frozen)


@gatekeeper.task(key="rated:{name}", effect=Effect(), rate=Rate("1/hour", scope="{name}"), cap="5/day")
def rated(name: str, other: str = "") -> dict[str, Any]:
    """One an hour."""
    with gatekeeper.effect(payload={"name": name}) as frozen:
        return send(f"rated:{name}", frozen)


@gatekeeper.task(key="fused:{name}", effect=Effect(), breaker=Breaker(after=2, cooldown="1s"))
def fused(name: str) -> dict[str, Any]:
    """One effect behind a breaker that trips at the second refusal."""
    with gatekeeper.effect(payload={"name": name}) as frozen:
        return send(f"fused:{name}", frozen)


@gatekeeper.task(key="hasty:{name}", effect=Effect(), max_age="3s", backoff="200ms")
def hasty(name: str) -> dict[str, Any]:
    """One effect that nobody wants after three seconds."""
    with gatekeeper.effect(payload={"name": name}) as frozen:
        return send(f"hasty:{name}", frozen)


@gatekeeper.task(attempts=2, backoff="400ms")
def fetch(name: str) -> dict[str, Any]:
    """Changes nothing outside, as far as the gate knows."""
    note(f"fetched-{name}", "now")
    return send(f"fetch:{name}", {})


@gatekeeper.task(key="hinted:{name}", effect=Effect(), backoff="400ms")
def hinted(name: str) -> str:
    """The author knows that nothing happened, and when to come again; the second try is fine."""
    with gatekeeper.effect(payload={"name": name}):
        if note(f"hinted-{name}", "now") == 1:
            raise gatekeeper.NotApplied("the printer is out of paper", retry_after=1)
        return "printed"


@gatekeeper.task(key="told:{name}", effect=Effect(), attempts=9, backoff="100ms")
def tell(name: str, fails: str = "") -> dict[str, Any]:
    """Send the text that stands in a file, in two steps: what the first makes belongs to the text."""
    text = (Path(os.environ["NOTES_DIR"]) / f"text-{name}").read_text()
    with gatekeeper.effect(payload={"text": text}) as frozen:
        container = gatekeeper.recall("container")
        if container is None:
            container = str(send(f"container:{name}", frozen)["id"])
            gatekeeper.keep("container", container)
        try:
            return send(f"told:{name}", {**frozen, "container": container})
        except requests.HTTPError as error:
            if error.response.status_code in {422, 429}:
                raise gatekeeper.NotApplied(str(error)) from error
            raise
