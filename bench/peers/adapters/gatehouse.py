"""Gatehouse itself: an agent as docs/add-your-agent.md writes it, without a look-up at the provider."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import requests

import gatekeeper
from bench.peers.adapters import effect, processed
from gatekeeper import Effect


@gatekeeper.task(key="{name}", effect=Effect(), attempts=4, backoff="1s")
def publish(name: str) -> dict[str, Any]:
    """Publish."""
    effect.begin(name)
    with gatekeeper.effect(payload={"key": name}) as frozen:
        answer = requests.post(f"{os.environ['EFFECTS_URL']}/{name}", json=frozen, timeout=60)
        answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def call(key: str) -> None:
    """Ask for a key."""
    import workers  # noqa: PLC0415 - the worker imports this module before its application is whole

    workers.app.loader.import_default_modules()
    publish.delay(name=key)


@gatekeeper.task(key="noop:{n}")
def noop(n: int) -> None:  # noqa: ARG001 - it is the key
    """Do nothing; the key makes it one call for each argument, as in the packages with a lock."""
    processed.count()


@gatekeeper.task(key="nothing:{n}", effect=Effect())
def noop_effect(n: int) -> None:
    """Cross the line, and send nothing: both records are on the disk."""
    with gatekeeper.effect(payload={"n": n}):
        processed.count()


def connect() -> None:
    """Load the application as any process that submits calls does."""
    import_module(os.environ["GATEHOUSE_APP"]).app.loader.import_default_modules()


def enqueue(n: int) -> None:
    """Ask for the task that does nothing."""
    noop.delay(n=n)


def enqueue_effect(n: int) -> None:
    """Ask for the effect that sends nothing."""
    noop_effect.delay(n=n)
