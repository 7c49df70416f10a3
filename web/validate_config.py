"""`python -m web.validate_config [schedule] [webhooks]`: check that every row of the two tables can work.

`make up` runs it before it starts anything. A process that is started without it leaves out a row that cannot work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import workers  # noqa: F401  loads the agents that the tables name
from gatekeeper.schedule import entries
from gatekeeper.schedule.entries import Schedule
from gatekeeper.tables.config_lines import TableError
from web.webhooks import sources
from web.webhooks.sources import Routes


def main() -> int:
    """Print a line for each mistake; return the exit code, which is 1 if there is one."""
    names = [name for name in READERS if name in sys.argv[1:]] or list(READERS)
    mistakes = [mistake for name in names for mistake in check(READERS[name])]
    for mistake in mistakes:
        sys.stderr.write(f"gatehouse: {mistake}\n")
    return 1 if mistakes else 0


def check(read: Callable[[], Schedule | Routes]) -> Iterator[str]:
    """Yield what is wrong in a table, row by row."""
    try:
        yield from map(str, read().refused.values())
    except TableError as error:
        yield str(error)


READERS: dict[str, Callable[[], Schedule | Routes]] = {"schedule": entries.read, "webhooks": sources.read}

if __name__ == "__main__":
    sys.exit(main())
