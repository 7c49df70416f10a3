"""Two steps at one provider, as a test agent: what the first gave is kept for every later attempt."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from clerk import note
from storyteller import FOR_EVER, first_time, post

import gatekeeper
from gatekeeper import Effect


@gatekeeper.task(key="before:{name}", effect=Effect(), lease="10s")
def prepare(name: str, dies: str = "after") -> dict[str, str]:
    """Make a container before the effect, and publish it inside the effect; the very first attempt hangs after, or between, the two."""
    container = gatekeeper.recall("container")
    note(f"recalled-{name}", str(container))
    if container is None:
        container = str(post(f"container:{name}", {})["id"])
        gatekeeper.keep("container", container)
    if dies == "after" and first_time(f"prepared-{name}"):
        threading.Event().wait(FOR_EVER)
    with gatekeeper.effect(payload={"name": name}):
        post(f"before:{name}", {"container": container})
    return {"container": container}


@gatekeeper.task(attempts=3, backoff="100ms")
def climb(name: str) -> list[str | None]:
    """Changes nothing outside; each attempt keeps its number over that of the one before, and the first two fail."""
    seen = gatekeeper.recall("step")
    note(f"climbed-{name}", str(seen))
    gatekeeper.keep("step", str(int(seen or 0) + 1))
    if int(seen or 0) < 2:
        raise RuntimeError("not yet up")
    return [seen, gatekeeper.recall("step"), gatekeeper.recall("other")]


@gatekeeper.task(key="late:{name}", attempts=1, lease="2s")
def sleep_in(name: str) -> dict[str, Any]:
    """The very first attempt waits for a note, and then keeps something although it may be too late."""
    if first_time(f"slept-{name}"):
        note(f"asleep-{name}", "since now")
        while first_time_is_not_over(name):
            threading.Event().wait(0.05)
        gatekeeper.keep("step", "of the first")
    return {"step": gatekeeper.recall("step")}


def first_time_is_not_over(name: str) -> bool:
    """Whether nobody left the note that wakes."""
    return not (Path(os.environ["NOTES_DIR"]) / f"wake-{name}").exists()
