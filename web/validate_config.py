"""`python -m web.validate_config [schedule] [webhooks] [alerts]`: check every row of the two tables, and the alert channels.

`make up` runs it before it starts anything. A process that is started without it leaves out a row that cannot work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import workers  # noqa: F401  loads the agents that the tables name
from clients import alerts
from gatekeeper.schedule import entries
from gatekeeper.schedule.entries import Schedule
from gatekeeper.tables.config_lines import TableError
from web.webhooks import sources
from web.webhooks.sources import Routes


def main() -> int:
    """Print a line for each mistake; return the exit code, which is 1 if there is one."""
    mistakes: list[object] = []
    if "alerts" in sys.argv[1:] or not sys.argv[1:]:
        mistakes += filter(None, map(alerts.problem, (*alerts.ordinary(), *alerts.urgent())))
    for name in [name for name in READERS if name in sys.argv[1:]] or (() if sys.argv[1:] else READERS):
        try:
            mistakes += READERS[name]().refused.values()
        except TableError as error:
            mistakes.append(error)
    for mistake in mistakes:
        sys.stderr.write(f"gatehouse: {mistake}\n")
    return 1 if mistakes else 0


READERS: dict[str, Callable[[], Schedule | Routes]] = {"schedule": entries.read, "webhooks": sources.read}

if __name__ == "__main__":
    sys.exit(main())
