"""The orders by which a worker stumbles, as its environment carries them."""

from __future__ import annotations

import json


def stumble(step: str, act: str = "kill", nth: int = 1, times: int = 1) -> str:
    """The value of STUMBLE that makes a process stumble at a step, from the `nth` time it comes there, so many times."""
    return json.dumps({"step": step, "act": act, "nth": nth, "times": times})
