"""The web side: health, the local feed and the webhook door. `uvicorn web.app:app` serves it."""

from __future__ import annotations

from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import settings
from gatekeeper import logs
from gatekeeper.redact import clean
from state.errors import StoreError
from tasks.monitor import overdue
from web import calls, connections, problems
from web.guard import Guard
from web.webhooks import receive, sources

log = structlog.get_logger("gatehouse.web")

#: A worker is started again within seconds.
LATER = {"Retry-After": "5", "Cache-Control": "no-store"}

#: A browser asks the server before it shows a kept page, so a new post is seen at once.
FRESH = {"Cache-Control": "no-cache"}


def alive(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
    """This process answers."""
    return JSONResponse({"ok": True})


async def ready(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
    """Whether what is accepted here will run: 503 if it cannot, and `ok` is true only if all is well."""
    try:
        standing, late = await run_in_threadpool(overdue.look)
    except StoreError as error:
        why = {"ok": False, "redis": clean(str(error))}
        return JSONResponse(why, status_code=503, headers=LATER)
    silent = [{"kind": each.kind, "since": each.since} for each in standing.silent]
    told = {"ok": not silent and not late, "redis": "answers", "silent": silent, "overdue": [one.entry for one in late]}
    return JSONResponse(told) if standing.can_run() else JSONResponse(told, status_code=503, headers=LATER)


def home(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
    """To what there is to see."""
    return RedirectResponse("/posts/", status_code=307)


def feed(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
    """The Atom feed of the local destination."""
    file = settings.current().public_dir / "feed.xml"
    if not file.is_file():
        raise HTTPException(404, "nothing is published yet")
    return FileResponse(file, media_type="application/atom+xml", headers=FRESH)


def _files(folder: Path) -> StaticFiles:
    folder.mkdir(parents=True, exist_ok=True)
    return StaticFiles(directory=folder, html=True)


def create() -> Starlette:
    """The application for this process's settings."""
    logs.configure()
    connections.install()
    public = settings.current().public_dir
    app = Starlette(
        routes=[
            Route("/", home),
            Route("/healthz", alive),
            Route("/readyz", ready),
            Route("/feed.xml", feed),
            Mount("/posts", _files(public / "posts")),
            Mount("/reports", _files(public / "reports")),
            Route("/hooks/{source}", receive.receive, methods=["POST"]),
            Route("/calls/{call:path}", calls.show),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={HTTPException: problems.of_http, Exception: problems.of_bug},
    )
    app.state.routes = _routes()
    return app


def _routes() -> sources.Routes | None:
    """The table of webhooks; a row that cannot work closes its own door, and a table that cannot be read closes all."""
    try:
        found = sources.read()
    except sources.RouteError as error:
        problem = str(error)
    else:
        for name, refusal in found.refused.items():
            log.error(
                "webhook row refused", source=name, error=str(refusal), next="it is answered 503; the others work"
            )
        return found
    log.error(
        "webhooks refused", error=problem, next="all are answered 503; correct it, and start the web process again"
    )
    return None


app = create()
