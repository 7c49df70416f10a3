"""Signing in with the desk's password and a name for the audit, and signing out."""

from __future__ import annotations

import hmac

from starlette.responses import Response
from starlette.routing import BaseRoute

import settings
from gatekeeper.redact import clean
from state import sign_ins
from state.terminal import one_line
from web import hosts
from web.desk import cookies, door
from web.desk.visit import Visit

#: Characters of a name.
MAX_NAME = 60


def routes() -> list[BaseRoute]:
    """Return the routes of signing in and out."""
    return [
        door.page("/sign-in", show, is_open=True),
        door.action("/sign-in", sign_in, is_open=True),
        door.action("/sign-out", sign_out, is_open=True),
    ]


def show(visit: Visit) -> Response:
    """Ask for the password, unless there is none."""
    if not settings.current().desk_password:
        return visit.go("/")
    return _ask(visit, visit.query("next"))


def sign_in(visit: Visit) -> Response:
    """Sign in the person who knows the password.

    While the limit of tries lasts, the right password is refused too: otherwise the limit would not stop a guesser.
    """
    password, path, name = settings.current().desk_password, visit.form.text("next"), given_name(visit)
    if not password:
        return visit.go("/")
    if not name:
        return _ask(visit, path, 422, "Give your name too: the audit shows who decided.")
    address = visit.request.client.host if visit.request.client else ""
    tries = sign_ins.count_try(address)
    if not tries.allowed:
        return _wait(visit, path, tries.retry_after)
    if not hmac.compare_digest(visit.form.text("password").encode(errors="replace"), password.encode()):
        return _ask(visit, path, 403, "That is not the password. It is DESK_PASSWORD in .env.")
    sign_ins.forget_tries(address)
    response = visit.go(f"/{path.lstrip('/')}")
    session = sign_ins.begin(name, password)
    cookies.write(visit.request, response, cookies.SESSION, session, sign_ins.SESSION_SECONDS)
    cookies.remember_name(visit.request, response, name)
    return response


def sign_out(visit: Visit) -> Response:
    """End the session, here and in every browser that has a copy of its cookie."""
    session = cookies.read(visit.request, cookies.SESSION)
    if session:
        sign_ins.end(session)
    response = visit.go("/sign-in", "You are signed out.")
    cookies.write(visit.request, response, cookies.SESSION, "", 0)
    return response


def _ask(visit: Visit, path: str, status: int = 200, problem: str = "") -> Response:
    return visit.render(
        "sign_in.html", status, next=path, problem=problem, known_name=visit.form.get("name") or cookies.remembered_name(visit.request)[:MAX_NAME],
        is_plain=not cookies.is_secure(visit.request) and not hosts.is_direct_and_local(visit.request),
    )  # fmt: skip


def _wait(visit: Visit, path: str, seconds: int) -> Response:
    minutes = -(-seconds // 60)
    problem = f"There were too many tries. Wait {minutes} min; until then even the right password is refused."
    response = _ask(visit, path, 429, problem)
    response.headers["Retry-After"] = str(seconds)
    return response


def given_name(visit: Visit) -> str:
    """Return the name that a person typed, in one line and without secrets."""
    return clean(one_line(" ".join(visit.form.get("name").split())))[:MAX_NAME]
