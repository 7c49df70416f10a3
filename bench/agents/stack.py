"""The tasks behind `python -m bench.stack`: a delivery, a tick, and a call of a model."""

from __future__ import annotations

import os
import time
from functools import cache

import gatekeeper
import settings
from clients.llm import chat_completion
from clients.llm.providers import Provider
from clients.llm.request_form import RequestForm

#: In STATE_DIR: the id of each delivery, and when its task began, in seconds since 1970.
FIRST_LINES = "first-lines"
#: Far more than one answer takes.
TIMEOUT = 30.0


@gatekeeper.task()
def delivered(number: int) -> None:
    """Note when the first line of the task ran."""
    os.write(_first_lines(), f"{number} {time.time()}\n".encode())


@gatekeeper.task()
def tick(number: int) -> int:
    """Return the argument."""
    return number


@gatekeeper.task()
def ask(number: int, url: str) -> str:
    """Ask a model, through the clients that agents use."""
    model = Provider("bench", url, "no-key", "fake", "1000000/minute", 64)
    return chat_completion.complete(model, RequestForm(), "Answer.", f"Question {number}", TIMEOUT).text


@cache
def _first_lines() -> int:
    return os.open(settings.current().state_dir / FIRST_LINES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
