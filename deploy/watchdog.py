"""Stops what a killed supervisor leaves behind: reads the roster from stdin, and acts when it ends.

The supervisor holds the only other end. Linux alone could tell the children themselves (PR_SET_PDEATHSIG), but all at
once: the server would be gone before the workers have settled, and whoever ignores SIGTERM would stay.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

#: Between two looks at processes that are stopping.
LOOK_AGAIN_SECONDS = 0.05


def main() -> None:
    """Wait for the supervisor's end, then stop what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with its supervisor, after it has stopped the others
    roster: list[tuple[list[int], float]] = []
    for line in sys.stdin:
        with suppress(ValueError):  # cut off in the middle: the line before it still holds
            roster = json.loads(line)
    for groups, seconds in roster:
        stop(groups, seconds)


def stop(groups: list[int], seconds: float) -> None:
    """Ask every leader to stop, and after `seconds` kill what is left of the groups."""
    deadline = time.monotonic() + seconds
    for leader in groups:
        with suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
    while any(map(_lives, groups)) and time.monotonic() < deadline:
        time.sleep(LOOK_AGAIN_SECONDS)
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _lives(leader: int) -> bool:
    """Whether it runs; a zombie does not, and in a container there may be nobody to bury it."""
    try:
        os.kill(leader, 0)
        return not Path(f"/proc/{leader}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except ProcessLookupError:
        return False
    except OSError:
        return True  # no /proc here, or it went just now and the next look will tell


if __name__ == "__main__":
    main()
