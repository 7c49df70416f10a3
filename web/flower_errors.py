"""Errors of Flower's API with the right status and a sentence, where Flower would answer a bare 500.

A call that cannot be made is 400, an unknown task is 404, and the revocation of a call that has started is 409.
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

#: The status for each of our own errors, whose message is the answer; the first class that fits counts.
_STATUSES: dict[type[Exception], int] = {
    UnknownTask: NOT_FOUND,
    NotRevoked: CONFLICT,
    JournalUnavailable: UNAVAILABLE,
    GatekeeperError: BAD_REQUEST,
}
#: What Python raises for unusable values before our own checks see them.
_UNUSABLE = (TypeError, ValueError, OverflowError, RecursionError)


def install() -> None:
    """Replace how the handlers of Flower's API treat an exception."""
    original = BaseApiHandler._handle_request_exception  # noqa: SLF001 - Tornado has no public hook for it

    def handle(self: Any, error: BaseException) -> None:
        try:
            raise as_http_error(error) or error  # Tornado reads the exception being handled, not its argument
        except BaseException as raised:  # noqa: BLE001 - Tornado answers it
            original(self, raised)

    BaseApiHandler._handle_request_exception = handle  # noqa: SLF001 - likewise
    BaseTaskHandler.normalize_options = _convert_numbers_only
    logging.getLogger("flower.utils.blocking").addFilter(_drop_traceback)


def as_http_error(error: BaseException) -> HTTPError | None:
    """Return the answer for a client's mistake or an unavailable store; None for every other error."""
    if isinstance(error, HTTPError):
        cause = error.__cause__
        if error.status_code != SERVER_ERROR or cause is None:
            return None
        error = cause
    if isinstance(error, StoreError):
        return _http_error(UNAVAILABLE, f"Redis does not answer: {error}")
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return _http_error(status, str(error))
    if isinstance(error, _UNUSABLE):
        return _http_error(BAD_REQUEST, f"this request cannot be used: {describe(error)}")
    return None


def _http_error(status: int, reason: str) -> HTTPError:
    return HTTPError(status, f"{terminal.lines(clean(reason))}\n")


def _convert_numbers_only(_: Any, options: dict[str, Any]) -> None:
    """Accept a number in quotes, as Flower does; our own check of options reads dates, with better messages."""
    for name in ("countdown", "expires"):
        with suppress(TypeError, ValueError):
            options[name] = float(options.get(name))  # type: ignore[arg-type]  # None raises TypeError


def _drop_traceback(record: logging.LogRecord) -> bool:
    """Log a client's mistake as a warning without a traceback: it is not a fault in our code."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, GatekeeperError):
        record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        record.msg, record.args = "a call was refused: %s", (clean(str(error)),)
    return True
