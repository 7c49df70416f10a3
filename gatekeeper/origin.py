"""The doors: where calls come in. Every one registers the call before its message is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import click

from gatekeeper.errors import InvalidArguments
from gatekeeper.redact import clean
from gatekeeper.run.attempt import current_or_none
from state import terminal
from state.errors import JournalUnavailable, StoreError

CELERY_CALL = "celery call"
_COMMANDS = {"call": CELERY_CALL, "beat": "beat"}

_process = "python"
_named: ContextVar[str] = ContextVar("door", default="")


def name_process(door: str) -> None:
    """Name the door of every call that this process makes in whatever thread."""
    global _process  # noqa: PLW0603 - it is the process that has this name
    _process = door


@contextmanager
def coming_from(door: str) -> Iterator[None]:
    """Name the door for the calls made inside the block."""
    token = _named.set(door)
    try:
        yield
    finally:
        _named.reset(token)


@contextmanager
def errors_for_command_line() -> Iterator[None]:
    """On the command line a call that cannot be made is one clear line, not a traceback."""
    try:
        yield
    except (InvalidArguments, JournalUnavailable, StoreError) as error:
        if current() != CELERY_CALL:
            raise
        why = f"Redis does not answer: {error}" if isinstance(error, StoreError) else str(error)
        raise click.ClickException(terminal.lines(clean(why))) from error


def current() -> str:
    """The door that a call made right here comes through."""
    if _named.get():
        return _named.get()
    attempt = current_or_none()
    if attempt is not None:
        return attempt.call.task
    command = click.get_current_context(silent=True)
    return _COMMANDS.get(str(command.info_name), _process) if command else _process
