"""Access by bearer token: who sends a request, and what that program may do."""

from __future__ import annotations

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

import api_token
import settings
from api_token import ApiToken
from web import problems
from web.api.wrong_tokens import WrongTokens

log = structlog.get_logger("gatehouse.api")

#: The realm names what the token is for; browsers show it.
CHALLENGE = 'Bearer realm="gatehouse"'

_wrong_tokens = WrongTokens()


def authenticate(request: HTTPConnection) -> ApiToken:
    """Return the token that a request carries.

    Raises:
        HTTPException: 401 without a token of API_TOKENS, 429 if its address has sent too many wrong ones.

    """
    address = request.client.host if request.client else ""
    wait = _wrong_tokens.seconds_to_wait(address)
    if wait:
        raise HTTPException(
            429, "too many wrong tokens came from this address; retry later", problems.retry_after(wait)
        )
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise HTTPException(401, _what_to_send(), {"WWW-Authenticate": CHALLENGE})
    found = api_token.find(settings.current().api_tokens, given.strip())
    if found is None:
        _wrong_tokens.count(address)
        log.warning("token refused", address=address, path=request.url.path[:200])
        headers = {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'}
        raise HTTPException(401, "this token is not in API_TOKENS", headers)
    return found


def require(token: ApiToken, right: str) -> None:
    """Raise HTTPException 403 unless a token has a right: READ or DECIDE."""
    if not token.may(right):
        raise _forbidden(token, f"the right {right!r} is missing; add it to the entry in API_TOKENS")


def require_call(token: ApiToken, task: str) -> None:
    """Raise HTTPException 403 unless a token may call this task."""
    if not token.may_call(task):
        may = ", ".join(token.tasks) or "none"
        raise _forbidden(token, f"it may not call {task!r}, only: {may}; add the task to the entry in API_TOKENS")


def _forbidden(token: ApiToken, why: str) -> HTTPException:
    headers = {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope"'}
    return HTTPException(403, f"the token of {token.name} is known, but {why}", headers)


def _what_to_send() -> str:
    if not settings.current().api_tokens:
        return "no program may use the API yet: set API_TOKENS, and restart the web process"
    return "send the header Authorization: Bearer TOKEN, with a token of API_TOKENS"
