"""The agent under torture: effects of every kind the gate protects, each against the judge."""

from __future__ import annotations

import os
import random
import signal
import threading
import uuid
from pathlib import Path
from typing import Any

from celery import current_app

import gatekeeper
from clients import http
from gatekeeper import Effect
from gatekeeper.run.attempt import current
from tests.torture import stumble

#: How long a claim lives without a heartbeat, and an answer is waited for.
LEASE = os.environ.get("LEASE", "25s")

if visible := os.environ.get("VISIBILITY_TIMEOUT"):
    current_app.conf.broker_transport_options["visibility_timeout"] = float(visible)


def send(key: str, content: Any) -> dict[str, Any]:
    """One effect at the judge; any answer but a 2xx is an error."""
    sender = {"X-Sender": str(os.getpgrp())}  # the worker's own process, in a pool of processes too
    url = f"{os.environ['EFFECTS_URL']}/{key}"
    answer = http.request("POST", url, json=content, headers=sender, timeout=30)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return {"id": found["id"]}


def find(payload: dict[str, str]) -> dict[str, Any] | None:
    """Look the effect up at the judge."""
    answer = http.request("GET", f"{os.environ['EFFECTS_URL']}/{payload['key']}", timeout=30)
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    return {"id": answer.json()["id"]}


def words(key: str) -> dict[str, str]:
    """A payload whose text is another one each time it is made, as a model's is."""
    return {"key": key, "text": f"Once upon a time, {uuid.uuid4()}"}


@gatekeeper.task(key="strike:{n}", effect=Effect(), lease=LEASE, attempts=50, backoff="300ms")
def strike(n: str) -> dict[str, Any]:
    """An effect that nobody can look up: in doubt it waits for a person."""
    with gatekeeper.effect(payload=words(f"strike:{n}")) as frozen:
        return send(frozen["key"], frozen)


@gatekeeper.task(
    key="sure:{n}",
    effect=Effect(verify=find, drain="5s", absences=2, every="1s"),
    lease=LEASE,
    attempts=50,
    backoff="300ms",
)
def sure(n: str) -> dict[str, Any]:
    """An effect that can be looked up: in doubt the provider is asked."""
    with gatekeeper.effect(payload=words(f"sure:{n}")) as frozen:
        return send(frozen["key"], frozen)


@gatekeeper.task(key="once:{n}", effect=Effect(), lease=LEASE)
def once(n: str) -> dict[str, Any]:
    """An effect with one attempt, as effects have by default, that takes a moment and asks the store at each step."""
    threading.Event().wait(random.uniform(0, 1))
    seen = gatekeeper.memory().get("seen", n)
    with gatekeeper.effect(payload=words(f"once:{n}")) as frozen:
        gatekeeper.keep("seen", str(gatekeeper.recall("seen") or seen))
        return send(frozen["key"], frozen)


@gatekeeper.task(
    key="steps:{n}",
    effect=Effect(verify=find, drain="5s", absences=2, every="1s"),
    lease=LEASE,
    attempts=50,
    backoff="300ms",
)
def steps(n: str) -> dict[str, Any]:
    """An effect in two steps: a container first, whose id is kept, and then what is in it goes out."""
    with gatekeeper.effect(payload=words(f"steps:{n}")) as frozen:
        container = gatekeeper.recall("container")
        if container is None:
            container = str(send(f"box:{n}", frozen)["id"])
            gatekeeper.keep("container", container)
        return send(frozen["key"], frozen)


@gatekeeper.task(key="chore:{n}", lease=LEASE, attempts=50, backoff="300ms")
def chore(n: str) -> str:
    """Repeat-safe work, which goes on while effects are closed."""
    return n


@gatekeeper.task(lease=LEASE)
def tickle() -> str:
    """What a schedule runs; the judge counts the runs of each tick."""
    key = current().call.key
    send(key, {"key": key})
    return key


@gatekeeper.task(key="poison:{n}", effect=Effect(), lease=LEASE, attempts=50, backoff="300ms")
def poison(n: str) -> str:
    """Kill the process, each time before anything is sent."""
    with (Path(os.environ["NOTES_DIR"]) / f"poison:{n}").open("a") as notes:
        notes.write(f"{os.getpid()}\n")
    os.kill(os.getpid(), signal.SIGKILL)
    return n


stumble.arm()
