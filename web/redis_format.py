"""Compare the format of what Redis holds with ours for as long as the web process runs."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from threading import Event, Thread

import structlog

from state import redis_format
from state.errors import NewerRedisFormat, StoreError
from state.processes import liveness

log = structlog.get_logger("gatehouse.web")

#: Seconds that the start waits for Redis; after that the process serves what needs no Redis.
START_SECONDS = 2.0


def watch() -> None:
    """Compare now and as often as workers and beat do, and end this process if a newer version wrote what Redis holds."""
    compared = Event()
    Thread(target=_watch, args=(compared,), name="redis-format", daemon=True).start()
    compared.wait(START_SECONDS)


def _watch(compared: Event) -> None:
    while True:
        try:
            with suppress(StoreError):  # Redis is away, and is compared when it is back
                _compare()
        finally:
            compared.set()
        time.sleep(liveness.INTERVAL)


def _compare() -> None:
    try:
        redis_format.check()
    except NewerRedisFormat as error:
        log.error("data of a newer version", error=str(error))  # noqa: TRY400 - the sentence says all
        sys.stderr.write(f"gatehouse: {error}\n")
        # What was accepted is durable, so an end at once loses nothing; a signal would end with another exit code.
        os._exit(1)
