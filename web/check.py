"""`python -m web.check`: can what was written in the tables be run? One line and exit code 1 if not.

`make up` asks before it starts anything: a process that cannot start would only be started again and again.
"""

from __future__ import annotations

import sys

import workers  # noqa: F401  loads the agents that the tables name
from web import routes
from workers import schedule

try:
    schedule.load()
    routes.load()
except (schedule.ScheduleError, routes.RouteError) as error:
    sys.exit(f"gatehouse: {error}")
