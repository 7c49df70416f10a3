"""The publisher of that night, as a test agent: its post goes out, and then a later step fails."""

from __future__ import annotations

import os
import threading
import uuid
from pathlib import Path
from typing import Any

import requests

import gatekeeper
from gatekeeper import Effect

#: Longer than any test; a held attempt ends when its process is killed.
FOR_EVER = 600


def post(key: str, content: Any) -> dict[str, Any]:
    """Send one effect to the effect server; any answer but a 2xx is an error."""
    answer = requests.post(f"{os.environ['EFFECTS_URL']}/{key}", json=content, timeout=60)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def first_time(name: str) -> bool:
    """Whether nobody came here before, over all processes of an installation."""
    try:
        (Path(os.environ["NOTES_DIR"]) / name).open("x").close()
    except FileExistsError:
        return False
    return True


def written_by_a_model() -> str:
    """A text that is another one each time it is asked for."""
    return f"Once upon a time, {uuid.uuid4()}"


@gatekeeper.task(key="story:{post_id}", effect=Effect())
def publish(post_id: str, later_step: str = "works") -> dict[str, Any]:
    """Publish a story; then a later step may fail, as it did that night."""
    with gatekeeper.effect(payload={"post_id": post_id, "text": written_by_a_model()}) as frozen:
        published = post(f"story:{post_id}", frozen)
    if later_step == "fails":
        raise RuntimeError("the index could not be updated")
    return published


@gatekeeper.task(key="careful:{post_id}", effect=Effect())
def publish_carefully(post_id: str) -> dict[str, Any]:
    """Publish a story; the very first attempt never gets as far as the effect."""
    if first_time(f"careful-{post_id}"):
        threading.Event().wait(FOR_EVER)
    with gatekeeper.effect(payload={"post_id": post_id}) as frozen:
        return post(f"careful:{post_id}", frozen)
