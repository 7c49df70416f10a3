"""The ticks of many schedule entries: how late each is, and what beat uses."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from bench import schedstat
from bench.parts import Parts

MINUTES = 60
#: Threads of the worker that runs the ticks.
THREADS = 8
#: Seconds after a full minute within which all its ticks have been started.
GRACE = 8.0


@dataclass(frozen=True)
class Ticked:
    """The ticks of one run.

    Attributes:
        seconds: From each due time until beat had started the tick and logged it.
        percent: The processor time of beat, in percent of one core, over all the time after the first round of ticks.

    """

    seconds: list[float]
    percent: float


def spread(entries: int) -> str:
    """Return a schedule in which so many hourly entries are spread over the minutes of the hour."""
    return _table([f"{number % MINUTES} * * * *" for number in range(entries)])


def at_once(entries: int) -> str:
    """Return a schedule in which so many entries are due in each minute."""
    return _table(["* * * * *"] * entries)


def run(schedule: str, minutes: int) -> Ticked:
    """Run beat and a worker over so many full minutes; the ticks that beat makes up for when it first starts do not count."""
    with Parts({"beat_schedule": schedule}) as parts, parts.celery_worker(THREADS):
        entries = schedule.count("cron")
        beat = ("celery", "-A", "workers", "--quiet", "beat", "--loglevel", "warning")
        with parts.process("beat", *beat) as process:
            _wait_for_first(parts, entries)
            from_minute = int(time.time() // 60) + 1
            began, used = time.monotonic(), schedstat.seconds([process.pid])
            time.sleep((from_minute + minutes - 1) * 60 + GRACE - time.time())
            percent = 100 * (schedstat.seconds([process.pid]) - used) / (time.monotonic() - began)
        lines = parts.lines("beat", "tick")
    dues = [(datetime.fromisoformat(line["timestamp"]), datetime.fromisoformat(line["due"])) for line in lines]
    first = datetime.fromtimestamp(from_minute * 60, UTC)
    return Ticked([(at - due).total_seconds() for at, due in dues if due >= first], percent)


def _wait_for_first(parts: Parts, entries: int) -> None:
    parts.wait_for_line("beat", "beat ready")
    deadline = time.monotonic() + 60
    while len(parts.lines("beat", "tick")) < entries and time.monotonic() < deadline:
        time.sleep(0.2)


def _table(crons: list[str]) -> str:
    rows = [
        f'    "e{number}": {{"cron": "{cron}", "task": "bench.agents.stack.tick", "kwargs": {{"number": {number}}}}},'
        for number, cron in enumerate(crons)
    ]
    return "\n".join(['timezone = "UTC"', "schedule = {", *rows, "}", ""])
