"""Processes that die: at random, at every step, before they told anybody what they had taken, and again and again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress

from tests.harness import GaveUp
from tests.harness.install import LOAD_APP
from tests.torture.arena import CONTAINER, Arena
from tests.torture.house import CONCURRENCY, ready, wait_dead
from tests.torture.orders import stumble
from tests.torture.scenario import fault

#: Each step of an attempt, in order, and whether a key is in its sending window there.
STEPS = {
    "admit.before": False,
    "admit.after": False,
    "cross.before": False,
    "script.before": True,
    "script.after": True,
    "cross.after": True,
    "connect.before": True,
    "bytes.before": True,
    "answer.after": True,
    "settle.before": True,
    "settle.after": False,
    "ack.before": False,
    "ack.after": False,
}
#: Attempts of one worker that stand between two steps of their provider.
STEPPING = 12
#: What a worker does beside: take from the dead, send again, write the mirror.
CHORES = ("reclaim.before", "reclaim.after", "resend.before", "resend.after", "mirror.before", "mirror.after")


@fault("F1", "SIGKILL of a worker with requests in flight", short=3, long=48)
def killed_in_flight(arena: Arena, rounds: int) -> None:
    victim, heir = arena.house.hire(2)
    for _ in range(rounds):
        arena.ask_and_hold(2 * CONCURRENCY, mode=arena.hold_answers())
        with arena.fault(victim):
            victim.kill9()
            arena.let_go()
        victim, heir = heir, arena.house.hire()[0]
    arena.rest()
    arena.say(10)


@fault("F1", "SIGKILL of a pool of processes in flight, parent and children", short=1, long=6)
def killed_pool_of_processes(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        [victim] = arena.house.hire(pool="prefork", concurrency=8)
        arena.ask_and_hold(8, mode=arena.hold_answers())
        with arena.fault(victim):
            victim.kill9()
            arena.let_go()
    arena.house.hire()


@fault("F2", "SIGKILL at every step of an attempt, and of the sweeper", short=1, long=6)
def killed_at_every_step(arena: Arena, rounds: int) -> None:
    arena.judge.mode("delay_after:1")
    for _ in range(rounds):
        pairs = list(_pairs(arena))
        for steps in pairs if rounds > 1 else arena.random.sample(pairs, 6):
            _die_at(arena, *steps)
    arena.judge.mode("ok")
    arena.house.hire()


def _pairs(arena: Arena) -> Iterator[tuple[str, str]]:
    """Every step of an attempt, each beside one of the sweeper's."""
    chores = [arena.random.choice(CHORES) for _ in range(len(STEPS) - len(CHORES))] + list(CHORES)
    arena.random.shuffle(chores)
    yield from zip(STEPS, chores, strict=True)


def _die_at(arena: Arena, step: str, chore: str) -> None:
    """One worker dies at a step of an attempt; the one that takes over dies at its chores, or soon after."""
    orders = stumble(step, nth=arena.random.randint(1, 4)), stumble(chore)
    victim, heir = ready(*(arena.house.begin_worker(concurrency=8, STUMBLE=text) for text in orders))
    arena.ask(24)
    wait_dead(victim)
    arena.hit(victim, more=int(STEPS[step]))
    arena.watch.mark()
    with suppress(GaveUp):
        wait_dead(heir, 4)
    arena.hit(heir)
    heir.kill9()
    arena.watch.mark()


@fault("F2", "SIGKILL between the two steps of a provider that wants a container first", short=1, long=8)
def killed_between_two_steps(arena: Arena, rounds: int) -> None:
    """Once its id is kept, the container is used again: there is never a second one."""
    for _ in range(rounds):
        steps = (("keep.after", 1), ("keep.before", 2))
        for step, most in steps if rounds > 1 else steps[:1]:
            [victim] = arena.house.hire(concurrency=STEPPING, STUMBLE=stumble(step, "hold", times=0))
            keys = arena.ask(STEPPING, "steps")
            arena.house.wait_held("keep", victim, STEPPING)
            arena.hit(keys=keys)
            victim.kill9()
            arena.watch.mark()
            [heir] = arena.house.hire()
            arena.rest()
            boxes = [arena.judge.count(CONTAINER + key.partition(":")[2]) for key in keys]
            arena.check(f"killed at {step}, containers made: {boxes}", max(boxes) <= most)
            heir.kill9()
    arena.house.hire()


@fault("F2", "SIGKILL of who asks, between the register and the broker", short=1, long=5)
def killed_while_asking(arena: Arena, rounds: int) -> None:
    arena.house.hire()
    for number in range(rounds):
        names = arena.producer.names(3)
        arena.producer.write_down("strike", names)
        code = f"{LOAD_APP}\nfor name in {names!r}: app.send_task('torturer.strike', kwargs={{'n': name}}, task_id='ask-{number}-' + name)"
        asker = arena.house.start_in(
            "asker", [sys.executable, "-c", code], {"STUMBLE": stumble("register.after", nth=2)}
        )
        wait_dead(asker)
        arena.hit()
        arena.watch.mark()
        arena.producer.forget([f"strike:{name}" for name in names[2:]])  # it died before it could ask for this one
    arena.rest(90)


@fault("F3", "SIGKILL between taking a message and noting that it is taken", short=1, long=8)
def killed_between_take_and_note(arena: Arena, rounds: int) -> None:
    arena.house.hire(concurrency=4)
    arena.judge.mode("delay:0.3")
    for _ in range(rounds):
        victims = [arena.house.begin_worker(concurrency=4, STUMBLE=stumble("fetch.before", nth=nth)) for nth in (2, 5)]
        ready(*victims)
        arena.ask(40)
        for victim in victims:
            wait_dead(victim)
            arena.hit(victim)
        arena.watch.mark()
    arena.judge.mode("ok")
    arena.rest(90)


@fault("F29", "a call that kills whoever runs it", short=1, long=4, limit=180, epilogue=False)
def poison(arena: Arena, rounds: int) -> None:
    worker = arena.house.hire(pool="prefork", concurrency=4)[0]
    for _ in range(rounds):
        bad = arena.ask(2, "poison")
        arena.ask(12)
        arena.hit(worker)
        arena.watch.mark()
        arena.rest(120)
        held = {entry["key"]: entry for entry in arena.producer.gate("status", "torturer")[0]["held"]}
        arena.check(f"poison is held: {sorted(held)}", set(bad) <= set(held))
        for key in bad:
            attempts = len(arena.house.notes(key))
            arena.check(f"{key} killed {attempts} workers, at most 3 are given to it", attempts <= 3)
    arena.check("the worker lives", worker.alive)
