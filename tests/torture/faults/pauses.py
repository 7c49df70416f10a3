"""Processes that stand still, for longer than their lease, and wake up believing that nothing happened."""

from __future__ import annotations

from tests.harness import Process
from tests.torture.arena import HOLD_PROMISED, Arena
from tests.torture.house import wait_stopped
from tests.torture.orders import stumble
from tests.torture.scenario import fault

SHORT_LEASE = {"LEASE": "3s"}

#: How many attempts of one worker stand still at once.
STILL = 24


def freeze_at(arena: Arena, step: str, tasks: tuple[str, str] = ("strike", "sure")) -> tuple[Process, list[str]]:
    """A worker with every thread at one step, stopped there; answers it and the keys of its attempts."""
    [victim] = arena.house.hire(concurrency=STILL, STUMBLE=stumble(step, "hold", times=0))
    keys = [key for task in tasks for key in arena.ask(STILL // 2, task)]
    arena.house.wait_held(step.partition(".")[0], victim, STILL)
    victim.pause()
    wait_stopped(victim)
    return victim, keys


def wake(arena: Arena, victim: Process) -> None:
    """Let it go on, and give it the time to do harm."""
    arena.house.go_on(victim)
    victim.resume()
    arena.watch.mark()
    arena.last(1.5)


@fault("F4", "stopped before the compare-and-set, the lease passes, then it wakes", short=1, long=10, env=SHORT_LEASE)
def stopped_before_the_effect(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        victim, keys = freeze_at(arena, "cross.before")
        arena.hit(victim)
        [heir] = arena.house.hire()
        arena.wait_standing(keys, "done")
        wake(arena, victim)
        arena.check("who woke works again", victim.alive)
        victim.kill9()
        heir.kill9()
    arena.house.hire()


@fault(
    "F5",
    "stopped between the compare-and-set and the send, the lease passes, then it wakes",
    short=1,
    long=12,
    env=SHORT_LEASE,
)
def stopped_before_the_send(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        victim, keys = freeze_at(arena, "cross.after")
        arena.hit(victim, more=STILL)
        [heir] = arena.house.hire()
        arena.wait_standing(keys, "unknown", "held")
        if arena.random.random() < 0.5:
            arena.last(arena.random.uniform(0, 8))
        wake(arena, victim)
        arena.rest()
        victim.kill9()
        heir.kill9()
    arena.house.hire()


@fault(
    "F4", "stopped before the compare-and-set, and it wakes while its heir is sending", short=1, long=8, env=SHORT_LEASE
)
def stopped_while_the_heir_sends(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        victim, keys = freeze_at(arena, "cross.before")
        arena.judge.mode(HOLD_PROMISED)
        [heir] = arena.house.hire()
        arena.wait_open(keys)
        arena.hit()
        wake(arena, victim)
        arena.let_go()
        arena.rest()
        victim.kill9()
        heir.kill9()
    arena.house.hire()


@fault(
    "F5", "stopped after the last check, right before the first byte, and it wakes", short=1, long=10, env=SHORT_LEASE
)
def stopped_at_the_first_byte(arena: Arena, rounds: int) -> None:
    """Nothing in the process can help any more: only who asks the provider can wait for proof of death."""
    for _ in range(rounds):
        victim, keys = freeze_at(arena, "bytes.before")
        arena.hit(victim, more=STILL)
        [heir] = arena.house.hire()
        arena.wait_standing(keys, "unknown", "held")
        arena.last(arena.random.uniform(8, 10))
        wake(arena, victim)
        arena.rest()
        victim.kill9()
        heir.kill9()
    arena.house.hire()


@fault("F5", "stopped between the compare-and-set and the send, killed in its sleep", short=1, long=8, env=SHORT_LEASE)
def stopped_and_killed(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        victim, keys = freeze_at(arena, "cross.after")
        arena.hit(victim, more=STILL)
        [heir] = arena.house.hire()
        arena.wait_standing(keys, "unknown", "held")
        victim.kill9()
        arena.watch.mark()
        arena.rest()
        arena.say(STILL)
        heir.kill9()
    arena.house.hire()


@fault(
    "F6",
    "stopped with the request on its way, the lease passes, then it wakes to the answer",
    short=1,
    long=12,
    env=SHORT_LEASE,
)
def stopped_in_mid_request(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        [victim] = arena.house.hire()
        keys = arena.ask_and_hold(12, mode=arena.hold_answers()) + arena.ask_and_hold(12, "sure", arena.hold_answers())
        victim.pause()
        wait_stopped(victim)
        arena.hit(victim)
        [heir] = arena.house.hire()
        arena.wait_standing(keys, "unknown", "done", "held")
        arena.let_go()
        arena.last(arena.random.uniform(0, 2))
        victim.resume()
        arena.watch.mark()
        arena.rest()
        victim.kill9()
        heir.kill9()
    arena.house.hire()
