"""Redis with Sentinel: the primary dies, stands still, or is out of reach of all but the workers, under a stream."""

from __future__ import annotations

from tests.harness import Process, until
from tests.torture.arena import Arena
from tests.torture.faults.redis import HALF, SHORT_LEASE, hold_both
from tests.torture.orders import stumble
from tests.torture.scenario import fault
from tests.torture.sentinels import Sentinels


def stream(arena: Arena, group: Sentinels) -> list[str]:
    """Effects in flight of which the replica knows, and others that are asked for at the last moment."""
    keys = hold_both(arena)
    group.wait_for_replica()
    return keys + arena.ask(HALF)


@fault("F45", "the primary is killed under a stream, and the sentinels name its replica", short=1, long=8, env=SHORT_LEASE,
       epilogue=False, limit=180)  # fmt: skip
def primary_killed(arena: Arena, rounds: int) -> None:
    group = Sentinels.of(arena)
    arena.house.hire(2)
    for _ in range(rounds):
        stream(arena, group)
        before = group.primary()
        with arena.fault():
            before.kill9()
            arena.let_go()
            group.wait_for_failover(before)
        arena.ask(HALF)
        group.rest()
        before.start()
        until(lambda was=before: group.follows(was), 30, "the old primary to follow")  # type: ignore[misc]
    arena.check("no worker ended", len(arena.house.living) == 2)


@fault("F45", "the primary stands still under a stream, the sentinels name its replica, and it wakes as a primary", short=1,
       long=8, env=SHORT_LEASE, epilogue=False, limit=180)  # fmt: skip
def primary_stopped(arena: Arena, rounds: int) -> None:
    group = Sentinels.of(arena)
    arena.house.hire(2)
    for _ in range(rounds):
        stream(arena, group)
        before = group.primary()
        with arena.fault():
            before.pause()
            arena.let_go()
            group.wait_for_failover(before)
            arena.ask(HALF)
            before.resume()
        group.rest()
        until(lambda was=before: group.follows(was), 30, "the old primary to follow")  # type: ignore[misc]
    arena.check("no worker ended", len(arena.house.living) == 2)


@fault("F45", "the primary is cut off from sentinels and replica, and a worker writes to it on, until it is healed", short=1,
       long=8, env=SHORT_LEASE, epilogue=False, limit=180)  # fmt: skip
def primary_still_written(arena: Arena, rounds: int) -> None:
    """One worker stays with the old primary, with claims of which both servers know; another one goes to the new primary."""
    group = Sentinels.of(arena)
    for _ in range(rounds):
        left = _held_before_the_effect(arena)
        keys = arena.ask(HALF) + arena.ask(HALF, "sure")
        arena.house.wait_held("cross", left, 2 * HALF)
        group.wait_for_replica()
        before = group.primary()
        group.cut_off(before)
        after = group.wait_for_failover(before)
        arena.judge.mode(arena.hold_answers())
        [heir] = arena.house.hire()
        arena.wait_open(keys, 60)
        assert after is not before
        with arena.fault():
            arena.house.go_on(left)
            arena.last(2)
            arena.check("the old primary was still written to", before.client().info("replication")["role"] == "master")
            arena.let_go()
            arena.last(1)
        group.heal(before)
        until(lambda was=before: group.follows(was), 30, "the old primary to follow")  # type: ignore[misc]
        left.kill9()
        group.rest()
        heir.kill9()
    arena.house.hire()


def _held_before_the_effect(arena: Arena) -> Process:
    [held] = arena.house.hire(STUMBLE=stumble("cross.before", "hold", times=2 * HALF))
    return held
