"""The store goes away: killed, standing still, out of reach, its answers lost, its memory full."""

from __future__ import annotations

from collections import Counter

from tests.harness import until
from tests.torture.arena import Arena
from tests.torture.scenario import fault
from tests.torture.watch import standings

HALF = 12


#: Where a lease must pass within the fault.
SHORT_LEASE = {"LEASE": "3s"}


def hold_both(arena: Arena) -> list[str]:
    """Effects of both kinds in flight."""
    return arena.ask_and_hold(HALF, mode=arena.hold_answers()) + arena.ask_and_hold(HALF, "sure", arena.hold_answers())


@fault("F12", "kill -9 of Redis under busy workers, restart from its AOF", short=2, long=20)
def redis_killed(arena: Arena, rounds: int) -> None:
    arena.house.hire(2)
    for _ in range(rounds):
        keys = hold_both(arena)
        with arena.fault():
            arena.valkey.kill9()
            arena.judge.release(arena.random.choice(keys))
            arena.last(arena.random.uniform(0, 4))
            arena.valkey.start()
            arena.let_go()
        arena.ask(HALF)
        arena.wait_standing(keys, "done", deadline=60)
    arena.check("no worker ended", len(arena.house.living) == 2)


@fault(
    "F36", "Redis is stopped for a moment and then killed, under a stream of calls with one attempt", short=2, long=10
)
def stopped_and_killed_under_a_stream(arena: Arena, rounds: int) -> None:
    """Nothing was sent for most of them, and that must not cost their only attempt."""
    arena.house.hire(2)
    for _ in range(rounds):
        keys = arena.ask(120, "once")
        with arena.fault():
            arena.valkey.pause()
            arena.last(arena.random.uniform(0.3, 1))
            arena.valkey.kill9()
            arena.last(arena.random.uniform(3, 5))
            arena.valkey.start()
        arena.wait_standing(keys, "done", "unknown", "rejected", deadline=90)
        found = standings(arena.watch.client, keys)
        held = {entry["key"]: entry["why"] for entry in arena.producer.gate("held")}
        arena.check(f"no call was rejected: {Counter(found.values())}", "rejected" not in found.values())
        doubtful = [key for key, state in found.items() if state == "unknown"]
        arena.check(f"what is in doubt is listed with its reason: {doubtful}", all(held.get(key) for key in doubtful))
    arena.check("no worker ended", len(arena.house.living) == 2)


@fault("F17", "Redis stands still for longer than a lease", short=2, long=12, env=SHORT_LEASE)
def redis_stopped(arena: Arena, rounds: int) -> None:
    arena.house.hire(2)
    for _ in range(rounds):
        hold_both(arena)
        with arena.fault():
            arena.valkey.pause()
            arena.let_go()
            arena.last(arena.random.uniform(4, 12))
            arena.valkey.resume()
        arena.ask(HALF)
        arena.rest(90)
    arena.check("no worker ended", len(arena.house.living) == 2)


@fault(
    "F18",
    "a worker is cut off from Redis, in each direction, for longer than its lease",
    short=2,
    long=12,
    env=SHORT_LEASE,
)
def partitioned(arena: Arena, rounds: int) -> None:
    """The cut-off worker has a way of its own to the store, so the other goes on and takes over."""
    way, url = arena.another_way()
    for number in range(rounds):
        [victim] = arena.house.hire(REDIS_URL=url)
        keys = hold_both(arena)
        [heir] = arena.house.hire()
        direction = ("up", "down")[number % 2]
        with arena.fault(victim):
            way.order(**{direction: "hold"})
            arena.wait_standing(keys, "unknown", "done", "held", deadline=60)
            arena.let_go()
            arena.last(arena.random.uniform(0, 3))
            way.order(**{direction: "pass"})
        arena.rest(90)
        arena.check("no worker ended", victim.alive and heir.alive)
        victim.kill9()
        heir.kill9()
    arena.house.hire()


@fault("F18", "the ways to Redis are reset again and again", short=1, long=8)
def connections_to_redis_reset(arena: Arena, rounds: int) -> None:
    arena.house.hire(2)
    arena.judge.mode("delay:0.6")
    for _ in range(rounds):
        for _ in range(5):
            arena.ask(HALF // 2)
            arena.ask(HALF // 2, "sure")
            arena.last(arena.random.uniform(0, 0.4))
            with arena.fault():
                arena.to_store.cut("both")
        arena.rest(90)
    arena.check("no worker ended", len(arena.house.living) == 2)


@fault("F19", "Redis did as it was told, and the answer is lost", short=1, long=10)
def answers_of_redis_lost(arena: Arena, rounds: int) -> None:
    arena.house.hire(2)
    arena.judge.mode("delay:0.6")
    for _ in range(rounds):
        with arena.to_store.while_ordered(lose_share=0.04):
            for _ in range(5):
                arena.ask(HALF // 2)
                arena.ask(HALF // 2, "sure")
                arena.last(0.4)
                arena.hit()
            arena.last(2)
        arena.watch.mark()
        arena.rest(90)
    arena.check("no answer was lost", arena.to_store.lost)
    arena.check("no worker ended", len(arena.house.living) == 2)


@fault("F20", "Redis has no memory left: it refuses every write", short=1, long=8)
def memory_full(arena: Arena, rounds: int) -> None:
    arena.house.hire(2)
    client = arena.valkey.client()
    for _ in range(rounds):
        keys = hold_both(arena)
        arena.ask(HALF)
        with arena.fault():
            client.config_set("maxmemory", 1)
            arena.let_go()
            until(lambda: not arena.judge.open(), 30, "the judge to have answered all")
            arena.last(arena.random.uniform(1, 5))
            client.config_set("maxmemory", 0)
        arena.house.revive(2)
        arena.wait_standing(keys, "done", deadline=60)
        arena.rest()
