"""Blocking work of a request: in a thread of its own, and never longer than whoever asked will wait."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar

import anyio
import structlog
from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException

from gatekeeper.redact import clean
from state.errors import JournalUnavailable, StoreError
from web import problems

log = structlog.get_logger("gatehouse.web")

#: Seconds. The most impatient sender gives up after three.
MAX_SECONDS = 2.5
#: Seconds after which to come again; a restart of Redis takes less.
AGAIN = 5
#: More would only wait for each other; those of the feed's files are others.
THREADS = 20

Result = TypeVar("Result")


async def for_store(action: Callable[[], Result]) -> Result:
    """What `action` answers; raises HTTPException 503 if Redis is away, or does not answer in time.

    An action that is given up goes on behind the scenes, so it must be harmless to repeat.
    """
    try:
        with anyio.fail_after(MAX_SECONDS):
            return await run_sync(action, abandon_on_cancel=True, limiter=_threads())
    except (JournalUnavailable, StoreError, TimeoutError) as error:
        log.warning("store away", error=clean(str(error)) or "no answer in time", next=f"503, again in {AGAIN} s")
        raise HTTPException(503, "this cannot be kept safe right now; come again", problems.later(AGAIN)) from error


@cache
def _threads() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(THREADS)
