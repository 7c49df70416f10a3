"""The schedule during an upgrade: beats of both versions, and the ticks that each slot must have had once."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.harness import Process
from tests.harness.install import BEAT_READY_EVENT
from tests.torture.arena import Arena
from tests.torture.producer import AGENT
from tests.torture.verdict import Verdict
from tests.upgrade.tables.beat_schedule import schedule

TABLE = Path(__file__).with_name("tables") / "beat_schedule.py"
#: How many minutes of ticks are missed when the first beat starts, so that there are ticks all the time.
MISSED = 12

_REMEMBER = """
from datetime import datetime
from state.ledger import schedule_runs
for entry in entries:
    schedule_runs.remember(agent, entry, datetime.fromisoformat(since))
"""


def beat(arena: Arena, root: Path) -> Process:
    """A beat of one version."""
    celery = ["-A", "workers", "--quiet", "beat", "--loglevel", "warning"]
    command = [sys.executable, "-m", "tests.torture.beat", str(TABLE), *celery]
    started = arena.house.start_in("beat", command, {}, root)
    started.wait_for(BEAT_READY_EVENT, 60)
    return started


class Ticks:
    """The slots since `since`; each is a key that the arena judges."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._since = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=MISSED)
        self.go_back()

    def go_back(self) -> None:
        """Let beat take every tick since the beginning for missed, also those that it has started."""
        since = self._since.isoformat()
        self._arena.producer.run(_REMEMBER, agent=AGENT, entries=list(schedule), since=since)

    def until_now(self) -> list[str]:
        """The keys of all slots so far, which count among those that were asked for."""
        minutes = int((datetime.now(UTC) - self._since) / timedelta(minutes=1))
        slots = [self._since + timedelta(minutes=n) for n in range(1, minutes + 1)]
        keys = [f"tick:{entry}:{slot:%Y-%m-%dT%H:%M:%SZ}" for entry in schedule for slot in slots]
        self._arena.producer.note(keys)
        return keys

    def excuse(self, verdict: Verdict) -> Verdict:
        """Leave out what is as it should be.

        The task of a tick may be repeated, so a run counts only if the worker that began it is not gone; and slots go on
        while the verdict is made.
        """
        living = {str(worker.pid) for worker in self._arena.house.living}
        finished: dict[str, int] = defaultdict(int)
        for row in self._arena.judge.rows():
            finished[row["key"]] += row["headers"]["x-sender"] in living
        again = {key for key in verdict.duplicates if key.startswith("tick:") and finished[key] <= 1}
        later = set(self.until_now())
        return replace(
            verdict,
            duplicates=[key for key in verdict.duplicates if key not in again],
            strangers=[key for key in verdict.strangers if key not in later],
        )
