"""An agent that sends through the client of the product, so that its requests are seen."""

from __future__ import annotations

import os
import time
from typing import Any

import gatekeeper
from clients import http
from gatekeeper import Effect


def _post(key: str, content: Any) -> Any:
    answer = http.request("POST", f"{os.environ['EFFECTS_URL']}/{key}", json=content)
    answer.raise_for_status()
    return answer.json()


@gatekeeper.task(key="travel:{place}", effect=Effect())
def send(place: str) -> dict[str, Any]:
    """Send one letter."""
    with gatekeeper.effect(payload={"place": place}) as frozen:
        found: dict[str, Any] = _post(f"travel:{place}", frozen)
    return found


@gatekeeper.task(key="slow:{place}", effect=Effect())
def send_slowly(place: str) -> dict[str, Any]:
    """Send one letter, so late in the effect that spans were exported meanwhile."""
    with gatekeeper.effect(payload={"place": place}) as frozen:
        time.sleep(1)
        found: dict[str, Any] = _post(f"slow:{place}", frozen)
    return found


@gatekeeper.task(attempts=1)
def lose(what: str) -> None:
    """Fail with words that nobody else should read."""
    raise RuntimeError(f"lost {what}")
