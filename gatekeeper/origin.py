"""The origin of a call: the command line, beat, a webhook, another task or a Python process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import click

from gatekeeper.redact import clean
from gatekeeper.run.attempt import current_or_none
from state import terminal
from state.errors import StoreError

CELERY_CALL = "celery call"
_COMMANDS = {"call": CELERY_CALL, "beat": "beat"}

_process = "python"
_named: ContextVar[str] = ContextVar("origin", default="")


def name_process(origin: str) -> None:
    """Set the origin of every call that this process makes, in any thread."""
    global _process  # noqa: PLW0603 - the name belongs to the process
    _process = origin


@contextmanager
def coming_from(origin: str) -> Iterator[None]:
    """Set the origin of the calls made inside the block."""
    token = _named.set(origin)
    try:
        yield
    finally:
        _named.reset(token)


def raise_for_command_line(error: Exception) -> None:
    """Raise an error of `celery call` as one line; do nothing for any other origin.

    Raises:
        click.ClickException: the call cannot be made.

    """
    if current() == CELERY_CALL:
        problem = f"Redis does not answer: {error}" if isinstance(error, StoreError) else str(error)
        raise click.ClickException(terminal.lines(clean(problem))) from error


def current() -> str:
    """Return the origin of a call that is made here and now."""
    if _named.get():
        return _named.get()
    attempt = current_or_none()
    if attempt is not None:
        return attempt.call.task
    command = click.get_current_context(silent=True)
    return _COMMANDS.get(str(command.info_name), _process) if command else _process
