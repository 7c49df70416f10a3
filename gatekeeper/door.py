"""The doors: where calls come in. Every one registers the call before its message is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import click

from gatekeeper.attempt import current_or_none

_named: ContextVar[str] = ContextVar("door", default="")


@contextmanager
def coming_from(door: str) -> Iterator[None]:
    """Name the door for the calls made inside the block."""
    token = _named.set(door)
    try:
        yield
    finally:
        _named.reset(token)


def name() -> str:
    """The door that a call made right here comes through."""
    if _named.get():
        return _named.get()
    attempt = current_or_none()
    if attempt is not None:
        return attempt.call.task
    command = click.get_current_context(silent=True)
    if command is not None and command.info_name in {"call", "flower", "beat"}:
        return f"celery {command.info_name}" if command.info_name == "call" else command.info_name
    return "python"
