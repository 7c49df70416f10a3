"""Who may use Flower. It can start, end and read everything, so nobody gets in without proof.

Proof is the password, for the user `admin`: DESK_PASSWORD, or else one that is made at the first start. Without
DESK_PASSWORD the processes of this very user, who could read that password and Redis anyway, need none: the kernel says
whose they are. A page of somebody else's in this user's browser is told by what browsers add to its requests.
"""

from __future__ import annotations

import base64
import binascii
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
from web import headers, peers, proxies

USER = "admin"
#: The name of the password in STATE_DIR/secrets.
SECRET = "flower-password"  # noqa: S105 - its name, not the secret

#: Answers "OK" and nothing else; the health checks of containers ask for it.
OPEN = "/healthcheck"

#: As those of the web process, but Flower's pages run scripts and send forms.
HEADERS = headers.HEADERS | {
    "Content-Security-Policy": "frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'",
    "Referrer-Policy": "same-origin",
}

_HERE = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})


def install() -> str:
    """Stand before every page and answer of Flower; answers the user and password that its own handlers want."""
    credentials = f"{USER}:{settings.current().desk_password or private.secret(SECRET)}"
    needs_password = bool(settings.current().desk_password)

    def find_handler(self: Any, request: HTTPServerRequest, **kwargs: Any) -> Any:
        if request.path != OPEN:
            refused = _refusal(request, credentials, needs_password=needs_password)
            if refused:
                return self.get_handler_delegate(request, _Refusal, {"status": refused[0], "why": refused[1]})
        return super(Flower, self).find_handler(request, **kwargs)

    Flower.find_handler = find_handler
    RequestHandler.set_default_headers = _set_headers  # type: ignore[method-assign]  # static files have no other
    BaseHandler.set_default_headers = _set_headers
    return credentials


def _refusal(request: HTTPServerRequest, credentials: str, *, needs_password: bool) -> tuple[int, str] | None:
    """Status and reason, or None for a request that may go on."""
    if _is_of_another_page(request):
        return 403, "a page of another site made this request\n"
    if not needs_password and _is_our_own(request):
        request.headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        return None
    if _knows(request.headers.get("Authorization", ""), credentials):
        return None
    where = "DESK_PASSWORD" if needs_password else f"STATE_DIR/secrets/{SECRET}"
    return 401, f"the user is {USER}, and the password is in {where}\n"


def _is_of_another_page(request: HTTPServerRequest) -> bool:
    """Whether a browser says so; a link that a person follows does no harm."""
    origin = request.headers.get("Origin")
    try:
        if origin is not None and urlsplit(origin).netloc != request.host:
            return True
    except ValueError:
        return True
    if request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}:
        return False
    followed = (request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest")) == (
        "navigate",
        "document",
    )
    return not (followed and request.method in {"GET", "HEAD"})


def _is_our_own(request: HTTPServerRequest) -> bool:
    """Whether a process of this user, or root's, made it, straight and under a name of this machine."""
    if request.host_name not in _HERE or proxies.left_a_trace(request.headers):
        return False
    stream = getattr(request.connection, "stream", None)
    connection = getattr(stream, "socket", None)
    return connection is not None and peers.user_of(connection) in {0, os.geteuid()}


def _knows(authorization: str, credentials: str) -> bool:
    scheme, _, encoded = authorization.partition(" ")
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(given, credentials.encode())


def _set_headers(self: RequestHandler) -> None:
    for name, value in HEADERS.items():
        self.set_header(name, value)


class _Refusal(RequestHandler):
    """Answers with one sentence, whatever the method."""

    def initialize(self, status: int, why: str) -> None:
        self._status, self._why = status, why

    def prepare(self) -> None:
        self.set_status(self._status)
        if self._status == 401:  # noqa: PLR2004 - the status that makes a browser ask
            self.set_header("WWW-Authenticate", 'Basic realm="Flower of Gatehouse", charset="UTF-8"')
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(self._why)

    def check_xsrf_cookie(self) -> None:
        """Nothing is changed here."""
