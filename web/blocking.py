"""Run a request's blocking work in a thread, within the time that its sender will wait."""

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

#: Seconds. The least patient sender gives up after three.
MAX_SECONDS = 2.5
#: Seconds for Retry-After; a restart of Redis takes less.
RETRY_SECONDS = 5
#: For the first message of a call, which is only a hint: it is sent again if it is lost, and the sender does not wait long.
ONE_TRY = {"max_retries": 1, "interval_start": 0, "interval_max": 0}
#: More threads would only wait for each other. Static files are served by other threads.
MAX_THREADS = 20

Result = TypeVar("Result")


async def call_store(action: Callable[[], Result]) -> Result:
    """Call a function that uses the store, in a thread.

    Args:
        action: The function. Its thread runs on after a timeout, so it must be safe to repeat.

    Returns:
        What `action` returns.

    Raises:
        HTTPException: 503 if Redis or the journal is unavailable, or if `action` takes longer than MAX_SECONDS.

    """
    try:
        with anyio.fail_after(MAX_SECONDS):
            return await run_sync(action, abandon_on_cancel=True, limiter=_limiter())
    except (JournalUnavailable, StoreError, TimeoutError) as error:
        reason = clean(str(error)) or "no answer in time"
        log.warning("store away", error=reason, hint=f"answered 503, retry after {RETRY_SECONDS} s")
        retry = problems.retry_after(RETRY_SECONDS)
        raise HTTPException(503, "the store is unavailable, and nothing was accepted; retry later", retry) from error


@cache
def _limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(MAX_THREADS)
