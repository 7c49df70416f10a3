"""`python -m web.validate_config [schedule] [webhooks]`: check that every row of the two tables can work.

`make up` runs it before it starts anything. A process that is started without it leaves out a row that cannot work.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import workers  # noqa: F401  loads the agents that the tables name
from gatekeeper.schedule import entries
from web.webhooks import sources


def main() -> int:
    """Print a line for each mistake; return the exit code, which is 1 if there is one."""
    names = [name for name in TABLES if name in sys.argv[1:]] or list(TABLES)
    mistakes = [mistake for name in names for mistake in TABLES[name]()]
    for mistake in mistakes:
        sys.stderr.write(f"gatehouse: {mistake}\n")
    return 1 if mistakes else 0


def check_schedule() -> Iterator[str]:
    """Yield what is wrong in `beat_schedule.py`, row by row."""
    try:
        yield from map(str, entries.read().refused.values())
    except entries.ScheduleError as error:
        yield str(error)


def check_webhooks() -> Iterator[str]:
    """Yield what is wrong in `webhook_routes.py`, row by row."""
    try:
        yield from map(str, sources.read().refused.values())
    except sources.RouteError as error:
        yield str(error)


TABLES = {"schedule": check_schedule, "webhooks": check_webhooks}

if __name__ == "__main__":
    sys.exit(main())
