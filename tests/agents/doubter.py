"""Effects that can be looked up, and one in two steps, as test agents."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import requests
from storyteller import FOR_EVER, first_time, post

import gatekeeper
from gatekeeper import Effect

#: Short, so that a test can wait for the proof.
LOOK_UP: dict[str, Any] = {"drain": "1s", "absences": 2, "every": "500ms"}


def find(payload: dict[str, str], post_id: str) -> dict[str, Any] | None:
    """Look the effect up at the effect server."""
    answer = requests.get(f"{os.environ['EFFECTS_URL']}/sure:{post_id}", timeout=10)
    if answer.status_code == requests.codes.not_found:
        return None
    answer.raise_for_status()
    return {"id": answer.json()["id"], "text": payload["text"]}


@gatekeeper.task(key="sure:{post_id}", effect=Effect(verify=find, **LOOK_UP), lease="10s")
def publish(post_id: str, text: str = "once") -> dict[str, Any]:
    """Publish; who is in doubt may ask."""
    with gatekeeper.effect(payload={"text": text}) as frozen:
        if os.environ.get("WAIT_BEFORE_SENDING"):
            fall_asleep()
        return {"id": post(f"sure:{post_id}", frozen)["id"], "text": frozen["text"]}


def fall_asleep() -> None:
    """Between the line and the first byte: wait for somebody to leave a note."""
    notes = Path(os.environ["NOTES_DIR"])
    (notes / "asleep").write_text("since now\n")
    while not (notes / "wake").exists():
        time.sleep(0.05)


@gatekeeper.task(key="deadly:{post_id}", effect=Effect(), lease="10s")
def deadly(post_id: str) -> dict[str, Any]:
    """Kill the process, until a note says that the cause is mended."""
    if not (Path(os.environ["NOTES_DIR"]) / "harmless").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    with gatekeeper.effect(payload={"post_id": post_id}) as frozen:
        return dict(post(f"deadly:{post_id}", frozen))


@gatekeeper.task(key="hesitant:{post_id}", effect=Effect(verify=lambda payload: None, **LOOK_UP), lease="10s")
def hesitate(post_id: str) -> dict[str, Any]:
    """Cross the line; the very first attempt then sends nothing for ever."""
    with gatekeeper.effect(payload={"post_id": post_id}) as frozen:
        if first_time(f"hesitant-{post_id}"):
            threading.Event().wait(FOR_EVER)
        return dict(post(f"hesitant:{post_id}", frozen))


@gatekeeper.task(key="steps:{post_id}", effect=Effect(), attempts=3, backoff="200ms", lease="10s")
def in_steps(post_id: str) -> dict[str, str]:
    """Make a container, whose name every later attempt takes up; the first attempt gets no further."""
    with gatekeeper.effect(payload={"post_id": post_id}) as frozen:
        container = gatekeeper.recall("container")
        if container is None:
            container = str(post(f"container:{post_id}", frozen)["id"])
            gatekeeper.keep("container", container)
            raise gatekeeper.NotApplied("the container is made, and not published")
        post(f"steps:{post_id}", {"container": container})
        return {"container": container}
