"""What Flower's API answers to a call that cannot be made: 400 and the sentence, where Flower would answer a bare 500."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from flower.api import BaseApiHandler
from flower.api.tasks import BaseTaskHandler
from tornado.web import HTTPError

from gatekeeper.errors import GatekeeperError, UnknownTask
from gatekeeper.redact import clean, describe
from state import terminal
from state.journal import JournalUnavailable
from state.store import StoreError

BAD_REQUEST, NOT_FOUND, SERVER_ERROR, UNAVAILABLE = 400, 404, 500, 503

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
    match error:
        case UnknownTask():
            return _answer(NOT_FOUND, str(error))
        case StoreError():
            return _answer(UNAVAILABLE, f"Redis does not answer: {error}")
        case JournalUnavailable():
            return _answer(UNAVAILABLE, str(error))
        case GatekeeperError():
            return _answer(BAD_REQUEST, str(error))
    return (
        _answer(BAD_REQUEST, f"this request cannot be used: {describe(error)}")
        if isinstance(error, _UNUSABLE)
        else None
    )


def _answer(status: int, why: str) -> HTTPError:
    return HTTPError(status, f"{terminal.lines(clean(why))}\n")


def _without_traceback(record: logging.LogRecord) -> bool:
    """A mistake of whoever asked is no fault of ours: its line needs no traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, GatekeeperError):
        record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        record.msg, record.args = "a call was refused: %s", (clean(str(error)),)
    return True
