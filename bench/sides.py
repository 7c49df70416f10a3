"""The sides that each question compares, with the task, the pool and the options of each."""

from __future__ import annotations

from dataclasses import dataclass

#: Options of the Procfile's worker, but for its pool and its events.
GATE_OPTIONS = ("--without-mingle", "--without-gossip")


@dataclass(frozen=True)
class Side:
    """One way of running a task that does nothing."""

    name: str
    app: str
    task: str
    options: tuple[str, ...]  #: of its worker, besides the pool
    effect: bool = False

    @property
    def is_gated(self) -> bool:
        return self.app != "bench.plain"

    def watched(self) -> Side:
        """Return this side with the events of tasks on."""
        return Side(f"{self.name}, events on", self.app, self.task, (*self.options, "--task-events"), self.effect)


PLAIN = Side("plain Celery", "bench.plain", "plain.nothing", ())
STORED = Side("plain Celery that stores results", "bench.plain", "plain.stored", ())
GATE = Side("the gate", "bench.gated", "bench.agents.noop.nothing", GATE_OPTIONS)
EFFECT = Side("the gate, with an effect", "bench.gated", "bench.agents.noop.effect", GATE_OPTIONS, effect=True)
UNSYNCED = Side("the same without fsync", "bench.unsynced", "bench.agents.noop.effect", GATE_OPTIONS, effect=True)


@dataclass(frozen=True)
class Question:
    """Sides that alternate in one run; each is compared with the first."""

    name: str
    title: str
    pool: str
    concurrency: int
    sides: tuple[Side, ...]
    flower: bool = False  #: Flower runs beside


QUESTIONS = (
    Question("prefork", "nobody watches", "prefork", 2, (PLAIN, GATE, EFFECT, UNSYNCED)),
    Question("results", "results", "prefork", 2, (STORED, GATE)),
    Question("flower", "Flower watches both", "prefork", 2, (PLAIN.watched(), GATE.watched()), flower=True),
    Question("threads", "threads", "threads", 8, (PLAIN, GATE, EFFECT)),
    Question("prefork4", "four processes", "prefork", 4, (PLAIN, EFFECT)),
)
