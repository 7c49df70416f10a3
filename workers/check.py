"""`python -m workers.check`: can what was written be run? One line and exit code 1 if not.

`make up` asks before it starts anything: a process that cannot start would only be started again and again.
"""

from __future__ import annotations

import sys

from clients import destinations
from settings import SettingsError, current
from workers.schedule import ScheduleError, load


def main() -> int:
    """Load every agent and the schedule; answers the exit code."""
    try:
        load()
        for name in current().publish_to:
            destinations.known(name)
    except (ScheduleError, SettingsError) as error:
        problem = str(error)
    except destinations.UnknownDestination as error:
        problem = f"PUBLISH_TO: {error}"
    else:
        return 0
    sys.stderr.write(f"gatehouse: {problem}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
