"""Tell what no worker can tell, for as long as the web process runs: Redis is away, or no worker looks."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from threading import Thread

import structlog

from clients import alerts
from gatekeeper.redact import describe
from tasks.monitor.outage import OutageWatch

log = structlog.get_logger("gatehouse.web")

#: Seconds between two looks.
EVERY = 15.0


def watch() -> None:
    """Look every few seconds, if there is a channel to tell."""
    if alerts.ordinary():
        Thread(target=_watch, name="outage", daemon=True).start()


def _watch() -> None:
    outages = OutageWatch()
    while True:
        time.sleep(EVERY)
        try:
            outages.look(datetime.now(UTC))
        except (OSError, ValueError) as error:
            log.warning("no look for outages", error=describe(error), hint=f"tried again in {EVERY:g} s")
