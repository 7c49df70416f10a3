"""The figures of a run: medians and ratios, as two tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from bench.throughput import EFFECT, PLAIN, UNSYNCED, Side, Work


@dataclass(frozen=True)
class Report:
    """The measurements of a run: tasks per second by round, and latencies in microseconds."""

    work: Work
    rounds: dict[Side, list[float]]
    latencies: dict[str, list[float]]

    def ratio(self, side: Side) -> float:
        """Return the median of the rounds' ratios to plain Celery: measurements close in time share the machine's noise."""
        return median(own / plain for own, plain in zip(self.rounds[side], self.rounds[PLAIN], strict=True))

    def fsync_share(self) -> float | None:
        """Return the share of an effect's time that the journal's fsync takes, as the median of the rounds."""
        if UNSYNCED not in self.rounds:
            return None
        pairs = zip(self.rounds[EFFECT], self.rounds[UNSYNCED], strict=True)
        return round(median(1 - synced / unsynced for synced, unsynced in pairs), 3)

    def as_json(self) -> dict[str, Any]:
        return {
            "work": asdict(self.work),
            "tasks_per_second": {side.name: self._throughput(side) for side in self.rounds},
            "fsync_share": self.fsync_share(),
            "microseconds": {name: self._latency(name) for name in self.latencies},
        }

    def __str__(self) -> str:
        return "\n".join([*self._throughput_table(), "", *self._latency_table()])

    def _throughput(self, side: Side) -> dict[str, Any]:
        rates = self.rounds[side]
        return {"median": round(median(rates)), "ratio": round(self.ratio(side), 3), "rounds": [*map(round, rates)]}

    def _latency(self, name: str) -> dict[str, float]:
        middle = median(self.latencies[name])
        p99 = quantiles(self.latencies[name], n=100)[98]
        return {
            "median": round(middle, 1),
            "p99": round(p99, 1),
            "ratio": round(middle / median(self.latencies["PING"]), 2),
        }

    def _throughput_table(self) -> list[str]:
        work, count = self.work, len(self.rounds[PLAIN])
        title = f"no-op tasks, --pool {work.pool} --concurrency {work.concurrency}, {count} rounds of {work.tasks} each"
        lines = [title, f"{'':26}{'tasks/s':>8}{'ratio':>8}   each round"]
        for side in self.rounds:
            row = self._throughput(side)
            rounds = " ".join(map(str, row["rounds"]))
            lines.append(f"{side.name:26}{row['median']:8}{row['ratio']:8.2f}   {rounds}")
        share = self.fsync_share()
        return lines if share is None else [*lines, f"of an effect's time, {share:.0%} is fsync (two each)"]

    def _latency_table(self) -> list[str]:
        tries = len(self.latencies["PING"])
        lines = [f"latency of {tries} calls on one connection", f"{'':26}{'median':>8}{'ratio':>8}{'p99':>8}   µs"]
        for name in self.latencies:
            row = self._latency(name)
            lines.append(f"{name:26}{row['median']:8.0f}{row['ratio']:8.2f}{row['p99']:8.0f}")
        return lines
