"""Messages in the broker that nobody of ours sent: under the id of an accepted call, or such that nobody can read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from state.redis.keys import Keys
from tests.harness import until
from tests.poison import POISON, message
from tests.torture.arena import Arena
from tests.torture.faults.redis import HALF, hold_both
from tests.torture.producer import AGENT
from tests.torture.scenario import fault
from tests.torture.watch import standings

NAMES = Keys(AGENT)
QUEUE = "celery"
PAST = "2020-01-01T00:00:00+00:00"

#: Asks for each name in ten minutes, under an id that is known here.
ASK_LATER = """
for name in names:
    app.send_task("torturer.strike", kwargs={"n": name}, task_id="later-" + name, countdown=600)
"""


def forgeries(call: str, n: str) -> Iterator[str]:
    """Messages that carry a call's id: other arguments, another task or agent, nonsense, an expiry, and the same too early."""

    def forged(kwargs: Any, args: Any = (), task: str = f"{AGENT}.strike", **headers: Any) -> str:
        return message({"id": call, "task": task, **headers}, [list(args), kwargs, {}])

    yield forged({"n": f"forged-{n}"})
    yield forged({}, [f"forged-{n}"])
    yield forged({"n": f"forged-{n}"}, task=f"{AGENT}.sure")
    yield forged({"nonsense": 1})
    yield forged({}, task="tasks.monitor.check")
    yield forged({}, [1], task="celery.accumulate")
    yield forged({}, task="nobody.has")
    yield forged({"n": n}, expires=PAST)
    yield forged({"n": n}, timelimit=[0.001, 0.001])


@fault("F34", "messages under the ids of calls that wait or run, with other content, another task, or too early",
       short=1, long=8)  # fmt: skip
def forged_messages(arena: Arena, rounds: int) -> None:
    arena.house.hire()
    arena.house.hire(pool="prefork", concurrency=2)
    for _ in range(rounds):
        names = arena.producer.names(HALF)
        arena.producer.write_down("strike", names)
        arena.producer.run(ASK_LATER, names=names)
        before = set(arena.producer.accepted)
        hold_both(arena)
        running = arena.producer.accepted - before
        forged = [each for name in names for each in forgeries(f"later-{name}", name)]
        forged += [each for call in running for each in forgeries(call, call)]
        arena.random.shuffle(forged)
        arena.hit()
        arena.valkey.client().lpush(QUEUE, *forged)
        until(lambda: not arena.valkey.client().llen(QUEUE), 60, "the forged messages to be taken")
        arena.last(2)
        found = set(standings(arena.watch.client, [f"strike:{name}" for name in names]).values())
        arena.check(f"what waits goes on waiting: {found}", found == {"waiting"})
        arena.valkey.client().zadd(NAMES.waiting, {f"later-{name}": 1 for name in names}, xx=True)
        arena.let_go()
        arena.watch.mark()
        arena.rest()
        # Celery stores a result after the gate has settled the key: a key at rest may have none yet.
        results = until(partial(_results, arena, names), 30, "each call to have its result")
        arena.check("each result is its call's", all(json.loads(each)["result"]["ok"] for each in results))


def _results(arena: Arena, names: list[str]) -> list[str]:
    """Return the results that Celery stored for these calls, or nothing while one is missing."""
    found = arena.valkey.client().mget([f"celery-task-meta-later-{name}" for name in names])
    return [str(each) for each in found] if None not in found else []


@fault("F35", "entries of the queue that cannot be read, under a stream of effects", short=1, long=8)
def unreadable_messages(arena: Arena, rounds: int) -> None:
    workers = [*arena.house.hire(), *arena.house.hire(pool="prefork", concurrency=2)]
    for _ in range(rounds):
        hold_both(arena)
        arena.hit()
        poison = list(POISON)
        arena.random.shuffle(poison)
        keys: list[str] = []
        for start in range(0, len(poison), 20):
            arena.valkey.client().lpush(QUEUE, *poison[start : start + 20])
            keys += arena.ask(2)
        arena.let_go()
        arena.wait_standing(keys, "done", deadline=60)
        arena.watch.mark()
        arena.rest()
        arena.check("no worker ended", all(worker.alive for worker in workers))
