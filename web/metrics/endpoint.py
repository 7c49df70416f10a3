"""`GET /metrics`: answer a scrape from this machine; other machines need a token of API_TOKENS with the right to read."""

from __future__ import annotations

from functools import cache, partial
from importlib.metadata import version

import anyio
import structlog
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import api_token
from gatekeeper.policies.spec import agents as loaded
from gatekeeper.redact import clean
from state import health
from state.agents import numbers
from state.errors import StoreError
from web import hosts
from web.api import access
from web.metrics import agents, installation, limits
from web.metrics.catalogue import Sample

log = structlog.get_logger("gatehouse.web")

#: Seconds; a quarter of the time that Prometheus waits for a scrape, unless it is told otherwise.
MAX_SECONDS = 2.5
#: Scrapes at the same time; more of them wait.
MAX_SCRAPES = 2


def routes() -> list[BaseRoute]:
    """Return the route of the metrics."""
    return [Route("/metrics", show)]


async def show(request: Request) -> Response:
    """Answer with all metrics. If Redis is away, that is 200 too, with `gatehouse_up 0`: the scrape itself succeeded."""
    if not hosts.is_direct_and_local(request):
        access.require(access.authenticate(request), api_token.READ)
    samples = [*await _of_store(), *installation.machine(), Sample("build_info", (version("gatehouse"),), 1)]
    text, media_type = await run_sync(partial(_render, samples, request.headers.get("accept", "")))
    return Response(text, media_type=media_type, headers={"Cache-Control": "no-store", "Vary": "Accept"})


async def _of_store() -> list[Sample]:
    """Return what Redis says, or that it says nothing in time."""
    try:
        with anyio.fail_after(MAX_SECONDS):
            return await run_sync(_collect, abandon_on_cancel=True, limiter=_limiter())
    except (StoreError, TimeoutError) as error:
        log.warning("store away", error=clean(str(error)) or "no answer in time", hint="gatehouse_up is 0")
        return [Sample("up", (), 0)]


def _collect() -> list[Sample]:
    names, now_ms = loaded(), round(health.time_ms())
    found = numbers.read(names)
    return [
        Sample("up", (), 1),
        *agents.samples(found, now_ms),
        *limits.samples(found, now_ms),
        *installation.samples(names),
    ]


def _render(samples: list[Sample], accept: str) -> tuple[bytes, str]:
    from web.metrics import exposition  # noqa: PLC0415 - its library is loaded with the first scrape

    return exposition.render(samples, accept)


@cache
def _limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(MAX_SCRAPES)
