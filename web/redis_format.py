"""For as long as the web process runs, compare the format of what Redis holds with ours, and report that this host lives."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from threading import Event, Thread

import structlog

from state import redis_format
from state.errors import NewerRedisFormat, StoreError, UnusableRedis
from state.processes import liveness
from state.processes.host_signs import HostSigns

log = structlog.get_logger("gatehouse.web")

#: Seconds that the start waits for Redis; after that the process serves what needs no Redis.
START_SECONDS = 2.0


def watch() -> None:
    """Compare now and as often as workers and beat do, and end this process if this Redis must not be used."""
    compared = Event()
    Thread(target=_watch, args=(compared,), name="redis-format", daemon=True).start()
    compared.wait(START_SECONDS)


def _watch(compared: Event) -> None:
    of_host = HostSigns("web", version("gatehouse"))
    while True:
        try:
            with suppress(StoreError):  # Redis is away, and is compared when it is back
                _compare()
                compared.set()
                of_host.report()
        finally:
            compared.set()
        time.sleep(liveness.INTERVAL)


def _compare() -> None:
    try:
        redis_format.check()
    except UnusableRedis as error:
        event = "data of a newer version" if isinstance(error, NewerRedisFormat) else "redis refused"
        log.error(event, error=str(error))  # noqa: TRY400 - the sentence says all
        sys.stderr.write(f"gatehouse: {error}\n")
        # What was accepted is durable, so an end at once loses nothing; a signal would end with another exit code.
        os._exit(1)
