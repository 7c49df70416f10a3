"""`python -m web.validate_config [schedule] [webhooks]`: can what was written in the tables be run?

A line for each mistake, and exit code 1, if not. `make up` asks before it starts anything; processes that run without
being asked for leave out a row that cannot work.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import workers  # noqa: F401  loads the agents that the tables name
from gatekeeper.schedule import entries
from web.webhooks import sources


def of_schedule() -> Iterator[str]:
    """What is wrong in `beat_schedule.py`, row by row."""
    try:
        yield from map(str, entries.read().refused.values())
    except entries.ScheduleError as error:
        yield str(error)


def of_webhooks() -> Iterator[str]:
    """What is wrong in `webhook_routes.py`, row by row."""
    try:
        yield from map(str, sources.read().refused.values())
    except sources.RouteError as error:
        yield str(error)


TABLES = {"schedule": of_schedule, "webhooks": of_webhooks}

asked = [name for name in TABLES if name in sys.argv[1:]] or list(TABLES)
if mistakes := [f"gatehouse: {mistake}" for name in asked for mistake in TABLES[name]()]:
    sys.exit("\n".join(mistakes))
