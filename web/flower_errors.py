"""What Flower's API answers to what cannot be done: the right status and a sentence, where Flower would answer a bare 500.

A call that cannot be made is 400 (404 for an unknown task), and the revoke of a call that has begun is 409.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from flower.api import BaseApiHandler
from flower.api.tasks import BaseTaskHandler
from tornado.web import HTTPError

from gatekeeper.errors import GatekeeperError, NotRevoked, UnknownTask
from gatekeeper.redact import clean, describe
from state import terminal
from state.errors import JournalUnavailable, StoreError

BAD_REQUEST, NOT_FOUND, CONFLICT, SERVER_ERROR, UNAVAILABLE = 400, 404, 409, 500, 503

#: Our own errors, whose words are the answer; the first that fits counts.
_STATUSES: dict[type[Exception], int] = {
    UnknownTask: NOT_FOUND,
    NotRevoked: CONFLICT,
    JournalUnavailable: UNAVAILABLE,
    GatekeeperError: BAD_REQUEST,
}
#: What Python says of values that cannot be used, before our own checks see them.
_UNUSABLE = (TypeError, ValueError, OverflowError, RecursionError)


def install() -> None:
    """Wrap how the handlers of the API treat an exception."""
    original = BaseApiHandler._handle_request_exception  # noqa: SLF001 - Tornado has no other place for it

    def handle(self: Any, error: BaseException) -> None:
        try:
            raise in_words(error) or error  # Tornado looks at the exception that is being handled, not at its argument
        except BaseException as told:  # noqa: BLE001 - Tornado answers it
            original(self, told)

    BaseApiHandler._handle_request_exception = handle  # noqa: SLF001 - likewise
    BaseTaskHandler.normalize_options = _leave_to_our_checks
    logging.getLogger("flower.utils.blocking").addFilter(_without_traceback)


def _leave_to_our_checks(_: Any, options: dict[str, Any]) -> None:
    """Options are read where all doors read them, which knows more forms of a date and says what is wrong with one."""
    for name in ("countdown", "expires"):
        with suppress(TypeError, ValueError):
            options[name] = float(options.get(name))  # type: ignore[arg-type]  # a number in quotes, as Flower takes it


def in_words(error: BaseException) -> HTTPError | None:
    """The answer to a mistake of whoever asked, or to a store that is away; None for everything else."""
    if isinstance(error, HTTPError):
        cause = error.__cause__
        if error.status_code != SERVER_ERROR or cause is None:
            return None
        error = cause
    if isinstance(error, StoreError):
        return _answer(UNAVAILABLE, f"Redis does not answer: {error}")
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return _answer(status, str(error))
    if isinstance(error, _UNUSABLE):
        return _answer(BAD_REQUEST, f"this request cannot be used: {describe(error)}")
    return None


def _answer(status: int, why: str) -> HTTPError:
    return HTTPError(status, f"{terminal.lines(clean(why))}\n")


def _without_traceback(record: logging.LogRecord) -> bool:
    """A caller's mistake is not a fault in our code: its line needs no traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, GatekeeperError):
        record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        record.msg, record.args = "a call was refused: %s", (clean(str(error)),)
    return True
