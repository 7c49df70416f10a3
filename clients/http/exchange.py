"""The one way to talk HTTP: every call is bounded in time and size, and leaves one log line and one event in the story.

Nothing is retried, no redirect is followed and no proxy is taken from the environment: each of these can send twice
or send elsewhere, and only the caller knows whether that is harmless.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests
import structlog
from requests import PreparedRequest, Response

import settings
from clients.http import body
from clients.http.deadline import BoundedAdapter
from gatekeeper.redact import clean, describe
from gatekeeper.run.attempt import current_or_none
from gatekeeper.run.http_guard import SAFE
from gatekeeper.run.http_outcome import of_status, proves_nothing_was_sent

log = structlog.get_logger("gatehouse.http")

#: Seconds. A request gets so much time at least, so that it can say why it failed.
MIN_SECONDS = 0.1
#: Characters of a body that a log line shows.
MAX_SHOWN = 500


def request(
    method: str,
    url: str,
    *,
    timeout: float | None = None,
    adapter: Callable[[float], BoundedAdapter] = BoundedAdapter,
    **options: Any,
) -> Response:
    """Send one request and read its whole answer within `timeout` seconds (default HTTP_TIMEOUT).

    `options` are those of `requests.Request`: params, headers, json, data, auth. `adapter` may restrict where connections
    lead. Raises what requests raises; an answer of any status is an answer, but for one to an effect that says neither yes
    nor no: that is an HTTPError. The connection is new, and closed afterwards.
    """
    limit = _within_the_lease(timeout or settings.current().http_timeout)
    started = time.monotonic()
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Accept-Encoding"] = "gzip"
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter(started + limit))
        prepared = session.prepare_request(requests.Request(method.upper(), url, **options))
        try:
            response = session.send(prepared, timeout=limit, allow_redirects=False, stream=True)
            body.read(response, started + limit)
        except Exception as error:
            _tell(prepared, started, outcome=_of_error(error), error=describe(error))
            raise
    _tell(
        prepared,
        started,
        outcome=of_status(response.status_code),
        status=response.status_code,
        response=_shown(response.content, str(response.encoding)),
    )
    _refuse_what_says_nothing(response)
    return response


def _refuse_what_says_nothing(response: Response) -> None:
    """A redirect (or another answer that is none) to what sends an effect: `raise_for_status` would let it pass."""
    attempt, status = current_or_none(), response.status_code
    is_yes_or_no = 200 <= status < 300 or status >= 400  # noqa: PLR2004 - as HTTP groups them
    if attempt is None or attempt.line != "sending" or response.request.method in SAFE or is_yes_or_no:
        return
    where = clean(response.headers.get("Location", ""))
    raise requests.HTTPError(
        f"{response.request.method} {clean(str(response.url))} answered {status} {where}: redirects are not followed, "
        "so nobody knows what became of it; correct the address",
        response=response,
    )


def _within_the_lease(seconds: float) -> float:
    """An effect's request ends before somebody else may decide that its sender is lost."""
    attempt = current_or_none()
    left = attempt.wire.left_ms / 1000 if attempt else seconds
    return max(min(seconds, left), MIN_SECONDS)


def _of_error(error: Exception) -> str:
    return "not applied" if proves_nothing_was_sent(error, requests_sent=0) else "unknown"


def _tell(prepared: PreparedRequest, started: float, *, outcome: str, **seen: Any) -> None:
    ms = round((time.monotonic() - started) * 1000)
    attempt = current_or_none()
    line = {"method": prepared.method, "url": clean(str(prepared.url)), "outcome": outcome, "ms": ms}
    names: dict[str, Any] = {}
    if attempt is not None:
        names = {
            "agent": attempt.call.agent,
            "task": attempt.call.task,
            "call": attempt.call.id,
            "key": attempt.call.key,
        }
        names["attempt"] = attempt.claim.attempt
        attempt.tell("http", **line, **{name: value for name, value in seen.items() if name != "response"})
    log.info("http", **names, **line, request=_shown(prepared.body), **seen)


def _shown(body: Any, encoding: str = "utf-8") -> str:
    """The beginning of a body. Only that is decoded and looked at for secrets: a body may have ten million bytes."""
    text = body[: 8 * MAX_SHOWN].decode(encoding, "replace") if isinstance(body, bytes) else str(body or "")
    shown = clean(text[: 2 * MAX_SHOWN])[:MAX_SHOWN]  # cut twice: half a secret at the end would not be recognized
    return shown + (f"… ({len(body)} {_unit(body)})" if len(text) > MAX_SHOWN else "")


def _unit(body: Any) -> str:
    return "bytes" if isinstance(body, bytes) else "characters"
