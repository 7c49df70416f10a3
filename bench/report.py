"""The figures of a run: medians and ratios, as tables and as JSON."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from statistics import median, quantiles
from typing import Any

from bench.publishing import Published
from bench.sides import EFFECT, UNSYNCED, Question
from bench.throughput import Round

#: Seconds of work that other programs may have done meanwhile, each second, before the report doubts its own figures.
BUSY_LOAD = 0.5
STOLEN = 0.02


@dataclass(frozen=True)
class Answer:
    """The rounds of one question, by side."""

    question: Question
    tasks: int
    rounds: dict[str, list[Round]]

    def ratio(self, side: str) -> float:
        """Return the median of the rounds' ratios to the first side: rounds close in time share the machine's noise."""
        first = self.rounds[self.question.sides[0].name]
        return median(own.rate / other.rate for own, other in zip(self.rounds[side], first, strict=True))

    def fsync_share(self) -> float | None:
        """Return the share of an effect's time that the journal's fsync takes, as the median of the rounds."""
        if UNSYNCED.name not in self.rounds:
            return None
        pairs = zip(self.rounds[EFFECT.name], self.rounds[UNSYNCED.name], strict=True)
        return round(median(1 - synced.rate / unsynced.rate for synced, unsynced in pairs), 3)

    def as_json(self) -> dict[str, Any]:
        return {name: self._row(name) for name in self.rounds}

    def _row(self, side: str) -> dict[str, Any]:
        rounds = self.rounds[side]
        return {
            "tasks_per_second": round(median(one.rate for one in rounds)),
            "ratio": round(self.ratio(side), 2),
            "worker_microseconds": round(median(one.worker for one in rounds)),
            "server_microseconds": round(median(one.server for one in rounds)),
            "rounds": [round(one.rate) for one in rounds],
        }

    def __str__(self) -> str:
        asked, count = self.question, len(next(iter(self.rounds.values())))
        title = (
            f"\n{asked.title}: --pool {asked.pool} --concurrency {asked.concurrency}, {count} rounds of {self.tasks}"
        )
        lines = [
            title,
            f"{'':36}{'tasks/s':>8}{'ratio':>7}{'worker':>8}{'server':>8}   each round (µs of processor a task)",
        ]
        for name, row in self.as_json().items():
            of_worker, of_server = row["worker_microseconds"], row["server_microseconds"]
            rounds = " ".join(map(str, row["rounds"]))
            lines.append(
                f"{name:36}{row['tasks_per_second']:8}{row['ratio']:7.2f}{of_worker:8}{of_server:8}   {rounds}"
            )
        share = self.fsync_share()
        return "\n".join(lines if share is None else [*lines, f"of an effect's time, {share:.0%} is fsync"])


@dataclass
class Report:
    """Everything that one run measured, and what else the machine did meanwhile."""

    load_before: float
    answers: list[Answer] = field(default_factory=list)
    published: Published | None = None
    latencies: dict[str, list[float]] = field(default_factory=dict)
    load_after: float = 0.0
    stolen: float = 0.0  #: seconds that the host took from this machine, each second

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": self._machine(),
            "throughput": {answer.question.name: answer.as_json() for answer in self.answers},
            "delay": self.published.as_json() if self.published else {},
            "latency": {name: self._latency(name) for name in self.latencies},
        }

    def __str__(self) -> str:
        return "\n".join([*self._latency_table(), "", *(f"{name}: {value}" for name, value in self._machine().items())])

    def _machine(self) -> dict[str, Any]:
        packages = ", ".join(f"{name} {version(name)}" for name in ("celery", "kombu", "redis"))
        noise = f"load {self.load_before:.1f} before, {self.load_after:.1f} after; stolen {self.stolen:.1%}"
        if self.load_before > BUSY_LOAD or self.stolen > STOLEN:
            noise += "; other programs ran, so compare the ratios only, and measure again"
        return {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
            "versions": f"Python {platform.python_version()}, {packages}",
            "beside": noise,
        }

    def _latency(self, name: str) -> dict[str, float]:
        middle = median(self.latencies[name])
        p99 = quantiles(self.latencies[name], n=100)[98]
        ratio = middle / median(self.latencies["PING"])
        return {"median": round(middle, 1), "p99": round(p99, 1), "ratio": round(ratio, 2)}

    def _latency_table(self) -> list[str]:
        if not self.latencies:
            return []
        tries = len(self.latencies["PING"])
        lines = [f"\nlatency of {tries} calls on one connection", f"{'':26}{'median':>8}{'ratio':>8}{'p99':>8}   µs"]
        for name in self.latencies:
            row = self._latency(name)
            lines.append(f"{name:26}{row['median']:8.0f}{row['ratio']:8.2f}{row['p99']:8.0f}")
        return lines
