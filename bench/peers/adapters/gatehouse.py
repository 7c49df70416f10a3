"""Gatehouse itself: an agent as docs/add-your-agent.md writes it, without a look-up at the provider."""

from __future__ import annotations

import os
from typing import Any

import requests

import gatekeeper
from bench.peers.adapters import effect
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
