"""Effects whose attempts take a moment at each step, as a test agent: whatever stops the store meanwhile meets all of them."""

from __future__ import annotations

import threading
from typing import Any

from storyteller import post

import gatekeeper
from gatekeeper import Effect

#: Seconds at each step.
MOMENT = 0.4


def linger() -> None:
    """Take a moment."""
    threading.Event().wait(MOMENT)


@gatekeeper.task(key="plain:{name}", effect=Effect())
def plain(name: str) -> Any:
    """A moment before the effect."""
    linger()
    with gatekeeper.effect(payload={"name": name}) as frozen:
        return post(f"plain:{name}", frozen)


@gatekeeper.task(key="mindful:{name}", effect=Effect())
def mindful(name: str) -> Any:
    """Reads the agent's memory before the effect and inside it."""
    linger()
    before = gatekeeper.memory().get("seen", name)
    with gatekeeper.effect(payload={"name": name}) as frozen:
        linger()
        assert gatekeeper.memory().get("seen", name) == before
        return post(f"mindful:{name}", frozen)


@gatekeeper.task(key="stepwise:{name}", effect=Effect())
def stepwise(name: str) -> Any:
    """Two steps inside the effect: what the first gave is kept."""
    with gatekeeper.effect(payload={"name": name}) as frozen:
        linger()
        box = gatekeeper.recall("box")
        if box is None:
            box = str(post(f"box:{name}", {})["id"])
            gatekeeper.keep("box", box)
        linger()
        return post(f"stepwise:{name}", frozen)


@gatekeeper.task(key="safe:{name}", attempts=1)
def safe(name: str) -> str:
    """Repeat-safe, with one attempt only."""
    linger()
    return str(gatekeeper.memory().get("seen", name))
