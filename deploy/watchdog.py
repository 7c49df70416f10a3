"""Stop the processes that a killed supervisor leaves behind: read the roster from stdin, and act when stdin ends.

The supervisor holds the only write end of that pipe. On Linux the children could ask the kernel for a signal
(PR_SET_PDEATHSIG), but it would reach all of them at once: the server would be gone before the workers have settled,
and a process that ignores SIGTERM would stay.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

#: Seconds between two checks of processes that are stopping.
POLL_SECONDS = 0.05


def main() -> None:
    """Wait until the supervisor ends, then stop what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends after its supervisor, once it has stopped the others
    roster: list[tuple[list[int], float]] = []
    for line in sys.stdin:
        with suppress(ValueError):  # a line that is cut off; the one before it still holds
            roster = json.loads(line)
    for leaders, seconds in roster:
        stop(leaders, seconds)


def stop(leaders: list[int], seconds: float) -> None:
    """Send SIGTERM to process group leaders, and after `seconds` SIGKILL to what is left of their groups."""
    deadline = time.monotonic() + seconds
    for leader in leaders:
        with suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
    while any(map(is_running, leaders)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for group in leaders:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def is_running(leader: int) -> bool:
    """Return whether a process runs; a zombie does not, and in a container it may never be reaped."""
    try:
        os.kill(leader, 0)
        return not Path(f"/proc/{leader}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except ProcessLookupError:
        return False
    except OSError:
        return True  # there is no /proc, or the process ended meanwhile and the next check will see it


if __name__ == "__main__":
    main()
