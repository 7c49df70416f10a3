"""The route of `/mcp`, if it is switched on."""

from __future__ import annotations

import importlib.util

import structlog
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

import settings
from web.mcp.door import Door

log = structlog.get_logger("gatehouse.mcp")

PATH = "/mcp"
MISSING = (
    "MCP=on needs the extra mcp, which is not installed: run .venv/bin/pip install 'gatehouse[mcp]', or remove MCP"
)


def routes() -> list[BaseRoute]:
    """Return the route, or nothing if MCP is off."""
    if settings.current().mcp != "on":
        return []
    return [Route(PATH, Door(_served()))]


def _served() -> ASGIApp:
    """Return what answers behind the door; without the SDK, the sentence that says so."""
    if importlib.util.find_spec("mcp") is None:
        log.error("mcp is not installed", hint=MISSING)
        return _missing
    from web.mcp import server  # noqa: PLC0415 - takes 30 MB

    return server.serve


async def _missing(_: Scope, __: Receive, ___: Send) -> None:
    raise HTTPException(503, MISSING)
