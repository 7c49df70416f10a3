"""Decide who may use Flower, which can start, end and read everything.

The user `admin` proves itself with a password: DESK_PASSWORD, or else one that is made at the first start. Without
DESK_PASSWORD, processes of this server's own user need no password: they could read that file and Redis anyway, and
the kernel tells whose process made a connection. Requests that a browser marks as made by another site are refused.
"""

from __future__ import annotations

import base64
import hmac
import os
from typing import Any
from urllib.parse import urlsplit

from flower.app import Flower
from flower.views import BaseHandler
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

import settings
from state import private
from web import addresses, headers, peers

USER = "admin"
#: The name of the password's file in STATE_DIR/secrets.
SECRET = "flower-password"  # noqa: S105 - its name, not the secret

#: Answers "OK" and nothing else; the health checks of containers request it.
OPEN_PATH = "/healthcheck"

#: As those of the web process, except that Flower's pages run scripts and send forms.
HEADERS = headers.HEADERS | {
    "Content-Security-Policy": "frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'",
    "Referrer-Policy": "same-origin",
}

FORBIDDEN, UNAUTHORIZED = 403, 401


def install() -> str:
    """Put the check before every handler of Flower.

    Returns:
        `user:password`, which Flower's own handlers require.

    """
    credentials = f"{USER}:{settings.current().desk_password or private.secret(SECRET)}"
    token = base64.b64encode(credentials.encode()).decode()
    needs_password = bool(settings.current().desk_password)

    def find_handler(self: Any, request: HTTPServerRequest, **kwargs: Any) -> Any:
        if request.path != OPEN_PATH:
            refusal = _check(request, token, needs_password=needs_password)
            if refusal:
                return self.get_handler_delegate(request, _Refusal, {"status": refusal[0], "reason": refusal[1]})
        return super(Flower, self).find_handler(request, **kwargs)

    Flower.find_handler = find_handler
    RequestHandler.set_default_headers = _set_headers  # type: ignore[method-assign]  # the only hook for static files
    BaseHandler.set_default_headers = _set_headers
    return credentials


def _check(request: HTTPServerRequest, token: str, *, needs_password: bool) -> tuple[int, str] | None:
    """Return the status and the reason of a refusal; None for a request that may go on."""
    if _is_cross_site(request):
        return FORBIDDEN, "a page of another site made this request\n"
    if not needs_password and _is_from_our_user(request):
        request.headers["Authorization"] = f"Basic {token}"
        return None
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return None
    place = "DESK_PASSWORD" if needs_password else f"STATE_DIR/secrets/{SECRET}"
    return UNAUTHORIZED, f"the user is {USER}, and the password is in {place}\n"


def _is_cross_site(request: HTTPServerRequest) -> bool:
    """Return whether the browser says that another site made the request; a link that a person follows is harmless."""
    origin = request.headers.get("Origin")
    try:
        if origin is not None and urlsplit(origin).netloc != request.host:
            return True
    except ValueError:
        return True
    if request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}:
        return False
    mode, destination = request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest")
    is_followed_link = mode == "navigate" and destination == "document" and request.method in {"GET", "HEAD"}
    return not is_followed_link


def _is_from_our_user(request: HTTPServerRequest) -> bool:
    """Return whether a process of this user or of root made the request, directly and with a Host of this machine."""
    if not addresses.is_loopback(request.host_name.strip("[]")) or addresses.has_proxy_header(request.headers):
        return False
    stream = getattr(request.connection, "stream", None)
    connection = getattr(stream, "socket", None)
    return connection is not None and peers.peer_uid(connection) in {0, os.geteuid()}


def _set_headers(self: RequestHandler) -> None:
    for name, value in HEADERS.items():
        self.set_header(name, value)


class _Refusal(RequestHandler):
    """A handler that answers every method with one sentence."""

    def initialize(self, status: int, reason: str) -> None:
        self._status, self._reason_text = status, reason

    def prepare(self) -> None:
        self.set_status(self._status)
        if self._status == UNAUTHORIZED:
            self.set_header("WWW-Authenticate", 'Basic realm="Flower of Gatehouse", charset="UTF-8"')
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(self._reason_text)

    def check_xsrf_cookie(self) -> None:
        """Allow every request: nothing is changed here."""
