"""Throughput: fill the queue, start a worker, and watch the queue run empty."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.arena import Arena
from state.redis.keys import Keys

#: Seconds between two looks at the queue; two commands each, the same for every side.
LOOK_EVERY = 0.02
#: A round that makes no progress for this many seconds is broken.
STUCK_AFTER = 20.0


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
    """What each round runs, and in what pool. The first `warm_up` tasks are not timed."""

    tasks: int
    warm_up: int
    pool: str
    concurrency: int


class Stuck(RuntimeError):
    """Raised when a round does not end, or ends without having run every task."""


def one_round(arena: Arena, side: Side, work: Work) -> float:
    """Tasks per second, from the end of the warm-up to the last acknowledgement."""
    arena.empty()
    sent = work.warm_up + work.tasks
    arena.run("bench.fill", side.app, side.task, str(sent))
    with arena.worker(side.app, work.pool, work.concurrency):
        began, left = _wait(arena, at_most=work.tasks)
        ended, _ = _wait(arena, at_most=0)
    if side is not PLAIN:
        _check_ledger(arena, sent)
    return left / (ended - began)


def _wait(arena: Arena, at_most: int) -> tuple[float, int]:
    """Wait until so few messages are left; answers when that was, and how many there were then.

    Two looks must agree: a message that is just being fetched is nowhere for an instant.
    """
    least, changed, reached = _left(arena), time.monotonic(), None
    while True:
        left, now = _left(arena), time.monotonic()
        if left > at_most:
            reached = None
        elif reached:
            return reached
        else:
            reached = now, left
        if left != least:
            least, changed = left, now
        elif now - changed > STUCK_AFTER:
            raise Stuck(f"{left} messages are left and nothing happens; the worker says:\n{arena.log('worker')}")
        time.sleep(LOOK_EVERY)


def _left(arena: Arena) -> int:
    """Messages that wait or are being worked on: with late acks, those whose task is not over."""
    with arena.redis.pipeline(transaction=False) as pipe:
        pipe.llen("celery").hlen("unacked")
        return sum(pipe.execute())


def _check_ledger(arena: Arena, sent: int) -> None:
    done = int(arena.redis.hget(Keys("noop").metrics, "total_done") or 0)
    if done != sent:
        raise Stuck(f"the ledger counts {done} done of {sent}; the worker says:\n{arena.log('worker')}")
