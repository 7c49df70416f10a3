"""The prospect of the next try after a failure without effect: it may go well by itself, or only after a person's change."""

from __future__ import annotations

import errno
import math
from dataclasses import dataclass, fields, replace

from requests import HTTPError, RequestException, Response
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

import settings
from gatekeeper import hostile
from gatekeeper.errors import NotApplied
from gatekeeper.run import retry_after as pauses
from gatekeeper.run import services
from gatekeeper.run.http_outcome import REFUSED_STATUSES, causes, never_connected
from state.errors import JournalUnavailable

#: Statuses by which a service says itself that it will answer otherwise later (RFC 6585 and RFC 9110).
TEMPORARY = frozenset({429, 503})
#: Refusals that only a person can change: wrong credentials, no permission, an unknown address, too large.
PERMANENT = REFUSED_STATUSES - TEMPORARY
#: If it is known that nothing was applied, these are temporary too, as every 5xx is.
PASSES_ONCE_SAFE = frozenset({408, 425, *TEMPORARY})

_NO_ADDRESS = (InvalidURL, InvalidSchema, MissingSchema)
#: Errors of a machine that has run out of something, which it gets back; EAGAIN: a lock, of another process.
_EXHAUSTED = frozenset({errno.EAGAIN, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
#: The ends of the names of settings that hold credentials.
_CREDENTIALS = ("_token", "_api_key", "_app_password", "_password")


@dataclass(frozen=True)
class Prospect:
    """The next try as an error lets it be expected; `temporary` is None where the error says nothing about it."""

    temporary: bool | None = None
    retry_after: float | None = None  #: seconds for which the service wants to be left alone
    change: str = ""  #: what a person has to change first


def of(error: BaseException) -> Prospect:
    """Return the prospect of a failure that is known to have had no effect. Never raises."""
    try:
        return _of(error)
    except BaseException:  # noqa: BLE001 - an exception that raises when it is looked into says nothing of the next try
        return Prospect()


def _of(error: BaseException) -> Prospect:
    if isinstance(error, NotApplied):
        return _of_not_applied(error)
    for cause in causes(error):
        found = _of_cause(cause)
        if found is not None:
            return found
    return Prospect()


def _of_not_applied(error: NotApplied) -> Prospect:
    """Read more from the cause than usual: the author of the task knows that nothing happened."""
    behind = _of_harmless(error.__cause__) if error.__cause__ else Prospect()
    if error.temporary is None:
        return replace(behind, change=error.change or behind.change)
    wanted = error.retry_after if _is_pause(error.retry_after) else behind.retry_after
    return Prospect(error.temporary, wanted if error.temporary else None, error.change or behind.change)


def _is_pause(seconds: object) -> bool:
    return isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0


def _of_harmless(error: BaseException) -> Prospect:
    found = _of(error)
    if found.temporary is not None:
        return found
    for cause in causes(error):
        if isinstance(cause, HTTPError) and isinstance(cause.response, Response):
            return _of_harmless_answer(cause.response)
        if isinstance(cause, RequestException):
            return Prospect(temporary=True)
    return found


def _of_harmless_answer(response: Response) -> Prospect:
    status = response.status_code
    if status in PASSES_ONCE_SAFE or status >= 500:  # noqa: PLR2004 - the errors of servers in HTTP
        return Prospect(temporary=True, retry_after=pauses.seconds(response.headers))
    if 400 <= status < 500:  # noqa: PLR2004 - the errors of clients in HTTP
        return Prospect(temporary=False, change=f"what is sent: {_address(response)} refuses it as it is")
    return Prospect()


def _of_cause(cause: BaseException) -> Prospect | None:
    if isinstance(cause, HTTPError) and isinstance(cause.response, Response):
        return _of_answer(cause.response)
    if isinstance(cause, _NO_ADDRESS):
        return Prospect(temporary=False, change=f"the address: {hostile.text_of(cause)}")
    if never_connected(cause) or isinstance(cause, JournalUnavailable):
        return Prospect(temporary=True)
    if isinstance(cause, OSError) and cause.errno in _EXHAUSTED:
        return Prospect(temporary=True)
    return None


def _of_answer(response: Response) -> Prospect | None:
    """Read a response; a service that says when to retry will take the same request then, whatever its status is."""
    status, wanted = response.status_code, pauses.seconds(response.headers)
    if status in TEMPORARY or (status in PERMANENT and wanted is not None):
        return Prospect(temporary=True, retry_after=wanted)
    if status in PERMANENT:
        return Prospect(temporary=False, change=_what_to_change(response))
    return None


def _what_to_change(response: Response) -> str:
    address, credentials = _settings_of(str(response.url or ""))
    match response.status_code:
        case 401:
            return f"{credentials or 'the credentials'}: not accepted by {_address(response)}"
        case 403:
            return f"{credentials or 'the credentials'}, or what they permit: {_address(response)} forbids this"
        case 404:
            return f"{address or 'the address'}: nothing is at {_address(response)}"
    return f"the size of what is sent: it is too large for {_address(response)}"


def _address(response: Response) -> str:
    return str(response.url or "the service").partition("?")[0]


def _settings_of(url: str) -> tuple[str, str]:
    """Return the names of the settings of this URL's address and of its credentials; empty if there are none."""
    service = services.of_url(url)
    service = "" if service == services.OTHER else service
    names = (field.name for field in fields(settings.Settings))
    credentials = [
        name.upper() for name in names if service and name.startswith(service) and name.endswith(_CREDENTIALS)
    ]
    return f"{service}_URL".upper() if service else "", " or ".join(credentials)
