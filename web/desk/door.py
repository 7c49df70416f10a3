"""The way to every page of the desk: who may see it, whose forms it takes, and how it answers.

Without DESK_PASSWORD only a browser on this machine may use the desk. With it, a person signs in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import settings
from clients.text.words import capitalized
from state import sign_ins
from web import blocking, hosts
from web.desk import attendance, cookies, form, same_site
from web.desk.form import Form
from web.desk.headers import HEADERS
from web.desk.visit import Visit
from workers.people import person

View = Callable[[Visit], Response]
#: Returns a text that changes whenever the page does, and that is read faster than the page is made.
Version = Callable[[Visit], str]

#: The header by which `desk.js` asks again for a page that is open.
REFRESH = "x-desk-refresh"

_FOREIGN = "this form did not come from a page of the desk; open the page, and decide there"


class NotSignedIn(Exception):
    """Raised for a request of nobody who may use the desk."""


def page(path: str, view: View, *, version: Version | None = None, is_open: bool = False) -> Route:
    """Return the route of a page.

    Args:
        path: The path, as Starlette's routes have it.
        view: Makes the page, in a thread. It may raise HTTPException.
        version: Tells whether the page changed, for browsers that have it open.
        is_open: The page needs no sign-in; its `Visit` has no name.

    """

    async def answer(request: Request) -> Response:
        return await _answer(request, view, Form({}), version, is_open=is_open)

    return Route(path, answer, methods=["GET"])


def action(path: str, view: View, *, is_open: bool = False) -> Route:
    """Return the route of a form, which only a page of ours may send.

    Args:
        path: The path, as Starlette's routes have it.
        view: Makes the change, in a thread, and answers with `Visit.go`. It may raise HTTPException. It must be safe to
            repeat: its thread runs on if it takes too long.
        is_open: The form needs no sign-in; its `Visit` has no name.

    """

    async def answer(request: Request) -> Response:
        if not same_site.is_ours(request):
            return refusal(Visit(request), HTTPException(403, _FOREIGN))
        try:
            fields = await form.read(request)
        except HTTPException as error:
            return refusal(Visit(request), error)
        return await _answer(request, view, fields, None, is_open=is_open)

    return Route(path, answer, methods=["POST"])


async def _answer(request: Request, view: View, fields: Form, version: Version | None, *, is_open: bool) -> Response:
    work = partial(_work, request, view, fields, version, is_open=is_open)
    try:
        response = await blocking.call_store(work)
    except HTTPException as error:
        response = refusal(Visit(request), error)
    except NotSignedIn:
        response = _ask_to_sign_in(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _work(request: Request, view: View, fields: Form, version: Version | None, *, is_open: bool) -> Response:
    name = "" if is_open else who(request)
    visit = Visit(request, name, fields)
    if name and REFRESH not in request.headers:
        attendance.note(name)
    try:
        return _seen(visit, view, version) if request.method != "POST" and not is_open else view(visit)
    except HTTPException as error:
        return refusal(visit, error)


def _seen(visit: Visit, view: View, version: Version | None) -> Response:
    """Return a page, or say that it is the one that the browser has."""
    request, name = visit.request, visit.name
    tag = _tag(f"{name}\0{visit.here}\0{version(visit)}") if version else ""
    if tag and _has(request, tag):
        return _unchanged(tag)
    response = view(visit)
    if response.status_code == HTTPStatus.OK and cookies.read(request, cookies.SAID) == "":
        response.headers["ETag"] = tag or _tag(bytes(response.body).decode())
        if _has(request, response.headers["ETag"]):
            return _unchanged(response.headers["ETag"])
    return response


def who(request: Request) -> str:
    """Return the name of the person who makes this request; raise NotSignedIn. Raises StoreError."""
    password = settings.current().desk_password
    if not password:
        if hosts.is_direct_and_local(request):
            return person()
        raise NotSignedIn
    session = cookies.read(request, cookies.SESSION)
    name = sign_ins.find(session, password) if session else None
    if name is None:
        raise NotSignedIn
    return name


def _ask_to_sign_in(request: Request) -> Response:
    visit = Visit(request)
    if not settings.current().desk_password:
        return visit.render("closed.html", 403)
    if request.method == "GET" and REFRESH not in request.headers:
        return visit.go("/sign-in" if visit.here == "/" else f"/sign-in?{urlencode({'next': visit.here})}")
    sentence = "You are signed out, so nothing was changed. Sign in, then go back to what you typed."
    return visit.render("refused.html", 401, title="Signed out", sentence=sentence)


def refusal(visit: Visit, error: HTTPException) -> Response:
    """Return the page that says why there is no other."""
    title = HTTPStatus(error.status_code).phrase
    sentence = f"{capitalized(error.detail)}."
    response = visit.render("refused.html", error.status_code, title=title, sentence=sentence)
    response.headers.update(HEADERS | dict(error.headers or {}))
    return response


def _tag(text: str) -> str:
    return f'W/"{hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]}"'


def _has(request: Request, tag: str) -> bool:
    return tag in request.headers.get("if-none-match", "").split(", ")


def _unchanged(tag: str) -> Response:
    return Response(status_code=304, headers={"ETag": tag})
