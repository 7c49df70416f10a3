"""`python -m workers.check`: can what was written be run? One line and exit code 1 if not.

`make up` asks before it starts anything: a process that cannot start would only be started again and again.
"""

from __future__ import annotations

import sys

from workers.schedule import ScheduleError, load

try:
    load()
except ScheduleError as error:
    sys.exit(f"gatehouse: {error}")
