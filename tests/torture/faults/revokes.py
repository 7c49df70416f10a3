"""A person takes calls back, and then everything that may have remembered it is restarted or emptied."""

from __future__ import annotations

from celery import Celery
from kombu import pools

from server_urls import redis_url
from state.redis.keys import Keys
from tests.harness import Process, until
from tests.torture.arena import Arena
from tests.torture.house import terminate, wait_dead
from tests.torture.producer import AGENT
from tests.torture.scenario import fault
from tests.torture.watch import standings

#: Calls of one round; every second of them is revoked.
CALLS = 24
#: Seconds until their time comes: longer than a worker takes to start.
COUNTDOWN = 6

ASK_LATER = """
answer = {
    n: app.send_task("torturer.strike", kwargs={"n": n}, task_id="later-" + n, countdown=countdown).id for n in names
}
"""
REVOKE = {
    "control": "for call in calls: app.control.revoke(call)",
    "terminate": "app.control.terminate(calls)",
    "result": "for call in calls: app.AsyncResult(call).revoke()",
}


@fault("F37", "calls are revoked, then the worker or Redis is restarted", short=2, long=12)
def revoked_then_restarted(arena: Arena, rounds: int) -> None:
    [worker] = arena.house.hire()
    for number in range(rounds):
        names = arena.producer.names(CALLS)
        arena.producer.write_down("strike", names)
        calls: dict[str, str] = arena.producer.run(ASK_LATER, names=names, countdown=COUNTDOWN)
        taken_back, wanted = names[::2], names[1::2]
        _revoke(arena, [calls[name] for name in taken_back], number)
        arena.hit(more=len(taken_back))
        worker = _restart(arena, worker)
        arena.watch.mark()
        arena.wait_standing([f"strike:{name}" for name in wanted], "done")
        until(lambda: _nothing_waits(arena), 20, "every call to have had its time")
        counts = arena.judge.counts()
        out = [name for name in taken_back if counts.get(f"strike:{name}")]
        arena.check(f"calls that were revoked and went out: {out}", not out)
        found = standings(arena.watch.client, [f"strike:{name}" for name in taken_back])
        arena.check(f"revoked calls stand as {found}", set(found.values()) == {"cancelled"})
        arena.rest()


def _revoke(arena: Arena, calls: list[str], number: int) -> None:
    """Through one door after the other; every fourth time by a Celery client that is not ours."""
    doors = [*REVOKE, "stranger"]
    door = doors[number % len(doors)]
    if door != "stranger":
        arena.producer.run(REVOKE[door], calls=calls)
        return
    url = redis_url.read(arena.valkey.url).for_kombu
    stranger = Celery("stranger", broker=url, backend=url, set_as_current=False)
    try:
        stranger.control.revoke(calls, reply=True, timeout=5, limit=1)
    finally:
        stranger.close()
        pools.reset()  # kombu would keep the connection for the next stranger, over a restart of Redis too


def _restart(arena: Arena, worker: Process) -> Process:
    """The worker goes, by a signal or by force, and sometimes Redis as well."""
    if arena.random.random() < 0.5:
        worker.kill9()
    else:
        terminate(worker)
        wait_dead(worker, 30)
    if arena.random.random() < 0.3:
        arena.valkey.kill9()
        arena.valkey.start()
    [heir] = arena.house.hire()
    return heir


def _nothing_waits(arena: Arena) -> bool:
    names = Keys(AGENT)
    return not (arena.watch.client.zcard(names.waiting) or arena.watch.client.zcard(names.queued))
