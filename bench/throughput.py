"""Measure throughput: fill the queue, start a worker, and time how long it takes to empty the queue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import processor
from bench.environment import BenchEnvironment
from bench.sides import Side
from state.redis.keys import Keys

#: Seconds between two readings of the queue's length, each of two commands; the same for every side.
POLL_SECONDS = 0.02
#: Seconds without progress after which a round has failed.
MAX_IDLE_SECONDS = 20.0


@dataclass(frozen=True)
class Work:
    """The work of each round: its tasks, of which the first `warm_up` are not timed, and the worker's pool."""

    tasks: int
    warm_up: int
    pool: str
    concurrency: int


@dataclass(frozen=True)
class Round:
    """One round: tasks per second, and microseconds of processor time for each task in the worker and in the server."""

    rate: float
    worker: float
    server: float


class Stuck(RuntimeError):
    """Raised when a round does not end, or ends without having run every task."""


def one_round(environment: BenchEnvironment, side: Side, work: Work) -> Round:
    """Run one round, and measure it from the end of the warm-up to the last acknowledgement.

    Raises:
        Stuck: the round makes no progress, or the ledger does not count every task as done.

    """
    environment.empty()
    sent = work.warm_up + work.tasks
    environment.run("bench.fill", side.app, side.task, str(sent))
    with environment.worker(side, work.pool, work.concurrency) as worker:
        began, left, used = wait(environment, [worker.pid], at_most=work.tasks)
        ended, _, used_then = wait(environment, [worker.pid], at_most=0)
    if side.is_gated:
        check_ledger(environment, sent)
    of_worker, of_server = (1e6 * (then - now) / left for now, then in zip(used, used_then, strict=True))
    return Round(left / (ended - began), of_worker, of_server)


def wait(environment: BenchEnvironment, workers: Sequence[int], at_most: int) -> tuple[float, int, tuple[float, float]]:
    """Wait until at most so many messages are left; return the time, the number left, and the processor times then.

    The times are those of the workers, by process id, and of the server.

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
            reached = now, left, (processor.seconds(*workers), processor.seconds(environment.server.pid))
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


def check_ledger(environment: BenchEnvironment, sent: int) -> None:
    """Raise Stuck unless the ledger counts so many calls as done."""
    done = int(environment.redis.hget(Keys("noop").metrics, "total_done") or 0)
    if done != sent:
        raise Stuck(f"the ledger counts {done} done of {sent}; the worker says:\n{environment.log('worker')}")
