"""Measure throughput: fill the queue, start a worker, and time how long it takes to empty the queue."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.environment import BenchEnvironment
from state.redis.keys import Keys

#: Seconds between two readings of the queue's length, each of two commands; the same for every side.
POLL_SECONDS = 0.02
#: Seconds without progress after which a round has failed.
MAX_IDLE_SECONDS = 20.0


@dataclass(frozen=True)
class Side:
    """One way of running a no-op task."""

    name: str
    app: str
    task: str


PLAIN = Side("plain Celery", "bench.plain", "plain.nothing")
GATE = Side("the gate", "bench.gated", "bench.agents.noop.nothing")
EFFECT = Side("the gate, with an effect", "bench.gated", "bench.agents.noop.effect")
UNSYNCED = Side("the same without fsync", "bench.unsynced", "bench.agents.noop.effect")


@dataclass(frozen=True)
class Work:
    """The work of each round: its tasks, of which the first `warm_up` are not timed, and the worker's pool."""

    tasks: int
    warm_up: int
    pool: str
    concurrency: int


class Stuck(RuntimeError):
    """Raised when a round does not end, or ends without having run every task."""


def one_round(environment: BenchEnvironment, side: Side, work: Work) -> float:
    """Run one round, and return the tasks per second from the end of the warm-up to the last acknowledgement.

    Raises:
        Stuck: the round makes no progress, or the ledger does not count every task as done.

    """
    environment.empty()
    sent = work.warm_up + work.tasks
    environment.run("bench.fill", side.app, side.task, str(sent))
    with environment.worker(side.app, work.pool, work.concurrency):
        began, left = _wait(environment, at_most=work.tasks)
        ended, _ = _wait(environment, at_most=0)
    if side is not PLAIN:
        _check_ledger(environment, sent)
    return left / (ended - began)


def _wait(environment: BenchEnvironment, at_most: int) -> tuple[float, int]:
    """Wait until at most so many messages are left; return the time and the number left.

    Two readings in a row must agree: a message that is being fetched is in neither list for a moment.
    """
    least, changed, reached = _left(environment), time.monotonic(), None
    while True:
        left, now = _left(environment), time.monotonic()
        if left > at_most:
            reached = None
        elif reached:
            return reached
        else:
            reached = now, left
        if left != least:
            least, changed = left, now
        elif now - changed > MAX_IDLE_SECONDS:
            raise Stuck(f"{left} messages are left and nothing happens; the worker says:\n{environment.log('worker')}")
        time.sleep(POLL_SECONDS)


def _left(environment: BenchEnvironment) -> int:
    """Return the number of messages whose task has not ended: with late acks, those queued and those unacknowledged."""
    with environment.redis.pipeline(transaction=False) as pipe:
        pipe.llen("celery").hlen("unacked")
        return sum(pipe.execute())


def _check_ledger(environment: BenchEnvironment, sent: int) -> None:
    done = int(environment.redis.hget(Keys("noop").metrics, "total_done") or 0)
    if done != sent:
        raise Stuck(f"the ledger counts {done} done of {sent}; the worker says:\n{environment.log('worker')}")
