"""Send one HTTP request, bounded in time and size, with one log line and one event in the call's history.

Requests are not retried, redirects are not followed, and proxy settings in the environment are ignored: each of these can
send a request twice or to another server, and only the caller knows whether that is safe.
"""

from __future__ import annotations

import time
from typing import Any

import requests
import structlog
from requests import PreparedRequest, Response

import settings
from clients.http import body
from clients.http.deadline import BoundedAdapter
from gatekeeper.redact import clean, describe
from gatekeeper.run import services, tracing
from gatekeeper.run.attempt import current_or_none
from gatekeeper.run.http_guard import SAFE, check_lease
from gatekeeper.run.http_outcome import of_status, proves_nothing_was_sent

log = structlog.get_logger("gatehouse.http")

#: Seconds. Every request gets at least this long, so that it fails with its own reason.
MIN_SECONDS = 0.1
#: Characters of a body in a log line.
MAX_SHOWN = 500


class _Session(requests.Session):
    """A session that does not look where a redirect leads: it would raise for a Location that is not UTF-8."""

    def get_redirect_target(self, resp: Response) -> None:
        """Return None: redirects are not followed."""


def request(
    method: str,
    url: str,
    *,
    timeout: float | None = None,
    public_only: bool = False,
    **options: Any,
) -> Response:
    """Send one request over a new connection and read the whole response.

    Args:
        method: The HTTP method.
        url: The URL.
        timeout: Seconds for the whole exchange; HTTP_TIMEOUT by default, and never longer than the attempt's lease.
        public_only: Refuse to connect to an address of this machine or its network (PrivateAddress).
        options: Passed to `requests.Request`: params, headers, json, data, auth.

    Returns:
        The response, whatever its status, with its body read.

    Raises:
        LeaseExpired: inside an effect, the lease has ended; nothing was sent.
        requests.RequestException: the exchange failed.
        requests.HTTPError: inside an effect, the response is neither a success nor an error, such as a redirect.

    """
    limit = _within_the_lease(timeout or settings.current().http_timeout)
    started = time.monotonic()
    with _Session() as session:
        session.trust_env = False
        session.headers["Accept-Encoding"] = "gzip"
        for scheme in ("http://", "https://"):
            session.mount(scheme, BoundedAdapter(started + limit, public_only=public_only))
        prepared = session.prepare_request(requests.Request(method.upper(), url, **options))
        try:
            if prepared.method not in SAFE:
                check_lease()  # before the connection, which might not open in the MIN_SECONDS that are left
            response = session.send(prepared, timeout=limit, allow_redirects=False, stream=True)
            body.read(response, started + limit)
        except Exception as error:
            outcome = "not applied" if proves_nothing_was_sent(error, requests_sent=0) else "unknown"
            _record(prepared, started, outcome=outcome, error=describe(error))
            raise
    shown, status = _shown(response.content, str(response.encoding)), response.status_code
    _record(prepared, started, outcome=of_status(status), status=status, response=shown)
    _check_is_conclusive(response)
    return response


def _check_is_conclusive(response: Response) -> None:
    """Raise HTTPError if the response to an effect is a redirect or the like, which `raise_for_status` lets pass."""
    status = response.status_code
    is_conclusive = 200 <= status < 300 or status >= 400  # noqa: PLR2004 - the classes of HTTP statuses
    if is_conclusive or not _is_effect(response.request):
        return
    where = clean(response.headers.get("Location", ""))
    raise requests.HTTPError(
        f"{response.request.method} {clean(str(response.url))} answered {status} {where}: redirects are not followed, "
        "so the outcome is unknown; correct the URL",
        response=response,
    )


def _within_the_lease(seconds: float) -> float:
    """Shorten a timeout to the rest of the lease, after which another worker may take the claim."""
    attempt = current_or_none()
    left = attempt.wire.left_ms / 1000 if attempt else seconds
    return max(min(seconds, left), MIN_SECONDS)


def _is_effect(prepared: PreparedRequest) -> bool:
    """Return whether a request is part of an effect: only then may it have changed what a person cares about."""
    attempt = current_or_none()
    return attempt is not None and attempt.phase == "sending" and prepared.method not in SAFE


def _record(prepared: PreparedRequest, started: float, *, outcome: str, **fields: Any) -> None:
    """Write the request to the log and, inside a task, to the call's history."""
    ms = round((time.monotonic() - started) * 1000)
    attempt = current_or_none()
    if outcome == "unknown" and not _is_effect(prepared):
        outcome = "not applied" if fields.get("status", 500) < 400 else "failed"  # noqa: PLR2004 - a redirect, or 304
    line = {"method": prepared.method, "url": clean(str(prepared.url)), "outcome": outcome, "ms": ms}
    names: dict[str, Any] = {}
    if attempt is not None:
        names = {**attempt.call.log_fields(), "attempt": attempt.claim.attempt}
        service = services.of_url(str(prepared.url))
        attempt.count_request(service, outcome.replace(" ", "_"), ms)
        tracing.finished(
            f"http {prepared.method} {service}", ms, **{"http.response.status_code": fields.get("status", 0)}
        )
        attempt.append_event("http", **line, **{name: value for name, value in fields.items() if name != "response"})
    log.info("http", **names, **line, request=_shown(prepared.body), **fields)


def _shown(body: Any, encoding: str = "utf-8") -> str:
    """Return the beginning of a body without secrets; the rest of it, up to ten megabytes, is not decoded."""
    text = body[: 8 * MAX_SHOWN].decode(encoding, "replace") if isinstance(body, bytes) else str(body or "")
    shown = clean(text[: 2 * MAX_SHOWN])[:MAX_SHOWN]  # cut twice: half a secret at the end would not be hidden
    unit = "bytes" if isinstance(body, bytes) else "characters"
    return f"{shown}… ({len(body)} {unit})" if len(text) > MAX_SHOWN else shown
