"""The web process: the desk, health, the local feed and webhooks. `uvicorn web.app:app` serves it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

import settings
from gatekeeper import logs
from gatekeeper.redact import clean
from gatekeeper.tables.config_lines import TableError
from state.errors import StoreError
from tasks.monitor import overdue
from web import calls, connections, idle, metrics, outage, pages, problems, redis_format
from web.api import routes as api
from web.desk import routes as desk
from web.guard import Guard
from web.headers import HEADERS
from web.mcp import routes as mcp
from web.unread_body import UnreadBody
from web.webhooks import receive, sources

log = structlog.get_logger("gatehouse.web")

#: A supervisor restarts a worker within seconds.
NOT_READY_HEADERS = {"Retry-After": "5", "Cache-Control": "no-store"}

#: A browser asks the server before it shows a cached page, so that a new post is seen at once.
REVALIDATE = {"Cache-Control": "no-cache"}
ONE_DAY = {"Cache-Control": "max-age=86400"}
#: As that of every answer, and the feed's own style sheet.
FEED_POLICY = HEADERS["Content-Security-Policy"].replace("style-src", "style-src 'self'")


def alive(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
    """Answer 200: this process runs."""
    return JSONResponse({"ok": True})


async def ready(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
    """Answer 200 if a call that is accepted here will run, else 503; `ok` is true only if nothing is wrong at all."""
    try:
        liveness, late = await run_in_threadpool(overdue.current)
    except StoreError as error:
        content = {"ok": False, "redis": clean(str(error))}
        return JSONResponse(content, status_code=503, headers=NOT_READY_HEADERS)
    silent = [{"kind": each.kind, "since": each.since} for each in liveness.silent]
    late_entries = [tick.entry for tick in late]
    content = {"ok": not silent and not late, "redis": "answers", "silent": silent, "overdue": late_entries}
    if liveness.can_run():
        return JSONResponse(content)
    return JSONResponse(content, status_code=503, headers=NOT_READY_HEADERS)


def feed(request: Request) -> Response:
    """Serve the Atom feed of the local destination; to a browser as XML, which it shows with the feed's style sheet."""
    media_type = "application/xml" if pages.wanted(request) else "application/atom+xml"
    headers = REVALIDATE | {"Content-Security-Policy": FEED_POLICY, "Vary": "Accept"}
    return _published("feed.xml", f"{media_type}; charset=utf-8", headers)


def feed_style(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
    """Serve the style sheet that the feed names."""
    return _published("feed.css", "text/css", REVALIDATE)


def favicon(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
    """Serve the icon for browsers that ask for it without a page of ours, which has its own."""
    return FileResponse(pages.TEMPLATES / "favicon.ico", media_type="image/x-icon", headers=ONE_DAY)


def _published(name: str, media_type: str, headers: Mapping[str, str]) -> Response:
    file = settings.current().public_dir / name
    if not file.is_file():
        raise HTTPException(404, "nothing is published yet")
    return FileResponse(file, media_type=media_type, headers=headers)


def create() -> Starlette:
    """Create the application for this process's settings; exit if a newer version wrote what Redis holds."""
    logs.configure()
    redis_format.watch()
    outage.watch()
    connections.install()
    idle.install()
    public = settings.current().public_dir
    app = _Application(
        routes=[
            Route("/healthz", alive),
            Route("/readyz", ready),
            Route("/feed.xml", feed),
            Route("/feed.css", feed_style),
            Route("/favicon.ico", favicon),
            Mount("/posts", _Pages(public / "posts", "nothing is published yet")),
            Mount("/reports", _Pages(public / "reports", "there is no report yet")),
            Route("/hooks/{source}", receive.receive, methods=["POST"]),
            Route("/calls/{call:path}", calls.show),
            *api.routes(),
            *desk.routes(),
            *metrics.routes(),
            *mcp.routes(),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={HTTPException: problems.from_http_exception, Exception: problems.from_bug},
    )
    app.state.webhooks = _webhooks()
    return app


class _Application(Starlette):
    """The application; whichever part of it answers, the body was read before."""

    def build_middleware_stack(self) -> ASGIApp:
        return UnreadBody(super().build_middleware_stack())


class _Pages(StaticFiles):
    """The pages in one folder.

    Args:
        folder: The folder, which is created.
        empty: What to say as long as it has no index.

    """

    def __init__(self, folder: Path, empty: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(directory=folder, html=True)
        self._empty = empty

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != HTTPStatus.NOT_FOUND or path != ".":
                raise
            raise HTTPException(404, self._empty) from None


def _webhooks() -> sources.Routes | None:
    """Read the table of webhooks, and log what is wrong with it.

    Returns:
        The routes, without the rows that cannot work; None if the whole table cannot be read.

    """
    try:
        routes = sources.read()
    except TableError as error:
        hint = "every webhook is answered 503; correct the table, and restart the web process"
        log.error("webhooks refused", error=str(error), hint=hint)  # noqa: TRY400 - the sentence says all
        return None
    for name, refusal in routes.refused.items():
        hint = "its webhooks are answered 503; the other rows work"
        log.error("webhook row refused", source=name, error=str(refusal), hint=hint)
    return routes


app = create()
