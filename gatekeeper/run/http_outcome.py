"""The proof that an exception gives after the effect began: that nothing was sent, or none."""

from __future__ import annotations

import ssl
import traceback
from collections.abc import Iterator

from requests import HTTPError, Response
from requests.exceptions import ConnectTimeout, InvalidSchema, InvalidURL, MissingSchema
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from gatekeeper import hostile
from gatekeeper.errors import LeaseExpired, NotApplied
from gatekeeper.run.http_guard import SAFE
from state.errors import JournalUnavailable, RedisAway, StoreError, lineage

#: Answers by which every provider says that it refused before doing anything.
REFUSED_STATUSES = frozenset({401, 403, 404, 413, 429})

_NEVER_CONNECTED = (
    ConnectTimeout,
    ConnectTimeoutError,
    NewConnectionError,
    NameResolutionError,
    ssl.SSLCertVerificationError,
)
_NEVER_SENT = (InvalidURL, InvalidSchema, MissingSchema, LeaseExpired, JournalUnavailable)


def proves_nothing_was_sent(error: BaseException, requests_sent: int) -> bool:
    """Return whether the effect cannot have happened, given how many requests that may change something went out.

    True for `NotApplied`, which the author vouches for; for a connection that was never made, a request that came too late
    to be sent, or a recovery point that could not be written down, if nothing else was sent; and for the answer to the
    only request, if it is one of REFUSED_STATUSES. Everything else is unknown. An error of our own store says nothing
    about the provider.
    """
    if isinstance(error, NotApplied):
        return True
    if isinstance(error, StoreError):
        return False
    for cause in causes(error):
        if isinstance(cause, _NEVER_SENT) or never_connected(cause):
            return requests_sent == 0
        if isinstance(cause, HTTPError) and cause.response is not None:
            return _refuses_the_only_request(cause.response, requests_sent)
    return False


def store_was_away(error: BaseException) -> bool:
    """Return whether the error was raised because Redis or the journal was not available."""
    return any(isinstance(cause, RedisAway | JournalUnavailable) for cause in lineage(error))


def _refuses_the_only_request(response: Response, requests_sent: int) -> bool:
    if not isinstance(response, Response) or response.request is None:
        return False  # made by hand: it says nothing of what was sent
    own = 0 if response.request.method in SAFE else 1
    return response.status_code in REFUSED_STATUSES and requests_sent == own and not response.history


def never_connected(error: BaseException) -> bool:
    """Return whether the error itself says that no connection was made: no name, no route, refused, no TLS."""
    return isinstance(error, _NEVER_CONNECTED) or _broke_in_the_handshake(error)


def _broke_in_the_handshake(error: BaseException) -> bool:
    """Return whether a connection ended in its TLS handshake; the same errors can come later, when all was sent."""
    frames = traceback.walk_tb(error.__traceback__) if isinstance(error, OSError) else ()
    return any(frame.f_code is ssl.SSLSocket.do_handshake.__code__ for frame, _ in frames)


def of_status(status: int) -> str:
    """Return the outcome class of a response: "applied", "not applied" or "unknown"."""
    if 200 <= status < 300:  # noqa: PLR2004 - the success statuses of HTTP
        return "applied"
    return "not applied" if status in REFUSED_STATUSES else "unknown"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, and the errors that the HTTP libraries wrapped into it."""
    seen: set[int] = set()
    todo: list[BaseException] = [error]
    while todo:
        cause = todo.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        todo += hostile.wrapped_errors(cause)
