"""Clocks that are wrong, or jump: of workers, and of Redis, whose clock decides about leases and due times."""

from __future__ import annotations

from tests.torture import shim
from tests.torture.arena import HOLD_PROMISED, Arena
from tests.torture.faults.redis import HALF, hold_both
from tests.torture.orders import stumble
from tests.torture.scenario import fault
from tests.torture.shim import Shim

HOURS = 3600.0
#: Seconds, as far as Jepsen's clock nemesis bumps.
BUMP = 262.0


@fault("F10", "the clocks of two workers are four hours apart, and one strobes", short=1, long=8, missing=shim.missing,
       env={"LEASE": "4s"})  # fmt: skip
def worker_clocks_apart(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        ahead, behind = Shim(arena.house.folder, "ahead"), Shim(arena.house.folder, "behind")
        ahead.clock(2 * HOURS)
        behind.clock(-2 * HOURS)
        fast, slow = arena.house.begin_worker(env=ahead.env), arena.house.begin_worker(env=behind.env)
        hold_both(arena)
        with arena.fault():
            for _ in range(10):
                ahead.clock(2 * HOURS + arena.random.uniform(-BUMP, BUMP))
                arena.last(0.2)
            arena.let_go()
        arena.rest()
        hold_both(arena)
        with arena.fault(fast):
            fast.kill9()
            arena.let_go()
        arena.rest()
        slow.kill9()


@fault("F11", "the clock of Redis jumps an hour ahead and back, with effects on their way", short=1, long=8,
       missing=shim.missing)  # fmt: skip
def store_clock_jumps(arena: Arena, rounds: int) -> None:
    clock = arena.put_store_on_shim()
    arena.house.hire(2)
    for _ in range(rounds):
        keys = hold_both(arena)
        with arena.fault():
            for seconds in (HOURS, -HOURS, arena.random.uniform(-BUMP, BUMP)):
                clock.clock(seconds)
                arena.ask(HALF // 2)
                arena.last(1.5)
            clock.clock(0)
            arena.let_go()
        arena.wait_standing(keys, "done", "unknown")
        arena.rest()


@fault("F11", "the clock of Redis jumps while attempts stand before the effect: others take their claims and send", short=1,
       long=8, missing=shim.missing)  # fmt: skip
def claims_taken_by_a_clock(arena: Arena, rounds: int) -> None:
    """The first owners live, were never stopped and believe in their leases: only the fence tells them."""
    clock = arena.put_store_on_shim()
    for _ in range(rounds):
        order = stumble("cross.before", "hold", times=2 * HALF)
        [victim] = arena.house.hire(STUMBLE=order, concurrency=2 * HALF)
        keys = arena.ask(HALF) + arena.ask(HALF, "sure")
        arena.house.wait_held("cross", victim, 2 * HALF)
        clock.clock(HOURS)
        arena.judge.mode(HOLD_PROMISED)
        [heir] = arena.house.hire()
        arena.wait_open(keys)
        arena.hit()
        clock.clock(0)
        arena.house.go_on(victim)
        arena.last(1)
        arena.let_go()
        arena.watch.mark()
        arena.rest()
        victim.kill9()
        heir.kill9()
    arena.house.hire()
