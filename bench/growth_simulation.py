"""A simulation of many agents on several hosts; bench/growth_model.py says what it assumes."""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import simpy

#: Seconds between two sweeps of a worker, and the longest time for which one holds the server.
SWEEP_EVERY, PIECE = 0.5, 0.001
#: Calls that are simulated at least, however few come in a second.
MIN_CALLS = 1000

#: The parts that may be busy.
KINDS = ("broker", "ledger", "journal", "cores", "loop", "threads")

Steps = Generator[Any, Any, None]


@dataclass(frozen=True)
class Setup:
    """The simulated system. Each field is an argument of the command; its help says what it is and where its default is from."""

    agents: int = field(default=100, metadata={"help": "agents"})
    calls_per_day: float = field(default=100.0, metadata={"help": "calls of each agent in a day"})
    peak: float = field(default=5.0, metadata={"help": "the busiest hour against the day's mean"})
    effects: float = field(default=0.3, metadata={"help": "share of the calls that have an effect"})
    task_seconds: float = field(
        default=5.0, metadata={"help": "mean of what a task itself takes, such as a model's answer"}
    )
    workers: int = field(default=2, metadata={"help": "worker hosts in each cell"})
    cores: int = field(default=2, metadata={"help": "cores of a worker host"})
    threads: int = field(default=8, metadata={"help": "threads of a worker, as in the Procfile"})
    cells: int = field(default=1, metadata={"help": "groups of agents; a worker loads the agents of one of them"})
    shards: int = field(default=1, metadata={"help": "primaries of the ledger, each with its part of the agents"})
    ledger_us: float = field(default=150.0, metadata={"help": "server µs of a call without an effect (bench.scale)"})
    effect_us: float = field(default=260.0, metadata={"help": "server µs of a call with an effect (bench.scale)"})
    broker_us: float = field(default=30.0, metadata={"help": "server µs of a message (make bench, plain Celery)"})
    worker_us: float = field(default=600.0, metadata={"help": "worker µs of a call without an effect (bench.scale)"})
    worker_effect_us: float = field(default=1250.0, metadata={"help": "the same with an effect (bench.scale)"})
    commit_ms: float = field(default=1.0, metadata={"help": "ms of one commit of the journal (assumed)"})
    commits_at_once: int = field(default=4, metadata={"help": "commits that share a sync of the disk (assumed)"})
    sweep_us: float = field(default=3.2, metadata={"help": "server µs of a sweep for each agent (bench.sweep)"})
    sweep_worker_us: float = field(default=36.0, metadata={"help": "worker µs of a sweep for each agent (bench.sweep)"})
    seconds: float = field(
        default=60.0, metadata={"help": "simulated seconds, at least; a sixth more at the beginning does not count"}
    )

    @property
    def rate(self) -> float:
        """Calls per second in the busiest hour."""
        return self.agents * self.calls_per_day * self.peak / 86_400


@dataclass(frozen=True)
class Outcome:
    """The result of a simulation: how busy the busiest part of each kind was, and the seconds that the gate added to each call."""

    setup: Setup
    busy: dict[str, float]
    waits: list[float]

    def wait(self, percent: int) -> float:
        """Return a percentile of what the gate added; not a number if hardly any call ended."""
        return quantiles(self.waits, n=100)[percent - 1] if len(self.waits) > 1 else float("nan")


class Station:
    """A part that serves so many at once, and how long it was busy since the warm-up.

    Args:
        world: The simulation.
        places: How many it serves at once.
        counts_from: The simulated second from which its work counts.

    """

    def __init__(self, world: simpy.Environment, places: int, counts_from: float) -> None:
        self._world, self._places, self._from = world, places, counts_from
        self._line = simpy.Resource(world, places)
        self._used = 0.0

    def hold(self, steps: Steps) -> Steps:
        """Wait for a place, and hold it for as long as these steps take."""
        with self._line.request() as place:
            yield place
            began = self._world.now
            yield from steps
            if self._world.now > self._from:
                self._used += self._world.now - max(began, self._from)

    def serve(self, seconds: float) -> Steps:
        """Wait for a place, and hold it for so long."""
        yield from self.hold(_pass(self._world, seconds))

    def busy(self) -> float:
        """Return the share of its places that was in use."""
        return self._used / ((self._world.now - self._from) * self._places)


def _pass(world: simpy.Environment, seconds: float) -> Steps:
    yield world.timeout(seconds)


class Model:
    """One simulation.

    Args:
        setup: What is simulated.
        seed: Makes it repeatable.

    """

    def __init__(self, setup: Setup, seed: int = 1) -> None:
        self.setup, self._random, self._world = setup, random.Random(seed), simpy.Environment()
        self._lasts = max(setup.seconds, MIN_CALLS / setup.rate)
        self._from = self._lasts / 6

        def stations(count: int, places: int) -> list[Station]:
            return [Station(self._world, places, self._from) for _ in range(count)]

        self._broker = stations(1, 1)
        self._ledger = stations(setup.shards, 1)
        self._journal = stations(1, setup.commits_at_once)
        self._cores = stations(setup.cells, setup.workers * setup.cores)
        #: The loop of a worker, which sweeps and takes messages, has one core at most.
        self._loops = stations(setup.cells * setup.workers, 1)
        self._threads = stations(setup.cells, setup.workers * setup.threads)
        self._waits: list[float] = []

    def run(self) -> Outcome:
        """Simulate, and return what was found."""
        self._world.process(self._arrivals())
        for worker in range(self.setup.cells * self.setup.workers):
            self._world.process(self._sweeps(worker))
        self._world.run(until=self._from + self._lasts)
        kinds = dict(
            zip(
                KINDS, (self._broker, self._ledger, self._journal, self._cores, self._loops, self._threads), strict=True
            )
        )
        return Outcome(
            self.setup, {name: max(each.busy() for each in kind) for name, kind in kinds.items()}, self._waits
        )

    def _arrivals(self) -> Steps:
        while True:
            yield self._world.timeout(self._random.expovariate(self.setup.rate))
            self._world.process(self._call(self._random.randrange(self.setup.agents)))

    def _call(self, agent: int) -> Steps:
        """Let one call go through register, queue and an attempt, and note what it waited besides its own work."""
        setup, began = self.setup, self._world.now
        has_effect = self._random.random() < setup.effects
        task = self._random.expovariate(1 / setup.task_seconds)
        step = (setup.effect_us / 4 if has_effect else setup.ledger_us / 3) / 1e6
        yield from self._ledger[agent % setup.shards].serve(step)
        yield from self._broker[0].serve(setup.broker_us / 2e6)
        yield from self._threads[agent % setup.cells].hold(self._attempt(agent, step, task, has_effect=has_effect))
        yield from self._broker[0].serve(setup.broker_us / 2e6)
        if began > self._from:
            self._waits.append(self._world.now - began - task)

    def _attempt(self, agent: int, step: float, task: float, *, has_effect: bool) -> Steps:
        """Admit, begin the effect, run, and settle, in a thread of a worker."""
        setup, cell, ledger = self.setup, agent % self.setup.cells, self._ledger[agent % self.setup.shards]
        worker_us = setup.worker_effect_us if has_effect else setup.worker_us
        loop = cell * setup.workers + self._random.randrange(setup.workers)
        yield from self._loops[loop].serve(worker_us / 4e6)
        yield from self._cores[cell].serve(worker_us * 0.75e-6)
        yield from ledger.serve(step)
        if has_effect:
            yield from self._journal[0].serve(setup.commit_ms / 1e3)
            yield from ledger.serve(step)
        yield self._world.timeout(task)
        if has_effect:
            yield from self._journal[0].serve(setup.commit_ms / 1e3)
        yield from ledger.serve(step)

    def _sweeps(self, worker: int) -> Steps:
        """Sweep the agents of the worker's cell; a sweep that takes longer than it may delays the next one."""
        setup = self.setup
        agents = setup.agents / setup.cells / setup.shards
        yield self._world.timeout(self._random.random() * SWEEP_EVERY)
        while True:
            began = self._world.now
            for shard in range(setup.shards):
                yield from self._loops[worker].serve(agents * setup.sweep_worker_us / 1e6)
                left = agents * setup.sweep_us / 1e6
                while left > 0:
                    yield from self._ledger[shard].serve(min(left, PIECE))
                    left -= PIECE
            yield self._world.timeout(max(0.0, SWEEP_EVERY - (self._world.now - began)))
