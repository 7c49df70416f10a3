"""Answers that do not come, come broken, or come when nobody is there any more; look-ups that know too little."""

from __future__ import annotations

import time
from collections.abc import Callable

from state.redis.keys import Keys
from tests.harness import until
from tests.torture.arena import HOLD, Arena
from tests.torture.producer import AGENT
from tests.torture.scenario import fault

#: How the judge breaks an answer after the effect happened.
BROKEN_ANSWERS = ("apply_then_drop", "apply_then_reset", "apply_then_status:500", "apply_then_status:408", "truncate")
#: Requests whose answer is broken in one way.
BATCH_SIZE = 12
#: Requests on their way when the network tears.
CONCURRENT = 24


@fault("F7", "the effect happened and its answer is dropped, reset, a 5xx, or cut off", short=1, long=8)
def broken_answers(arena: Arena, rounds: int) -> None:
    arena.house.hire()
    for _ in range(rounds):
        for mode in BROKEN_ANSWERS:
            arena.judge.mode(mode)
            keys = [key for task in ("strike", "sure") for key in arena.ask(BATCH_SIZE, task)]
            arena.wait_asked(keys)
            arena.judge.mode("ok")
            arena.hit(keys=keys)
            arena.watch.mark()
    arena.rest()


@fault("F7", "a refusal that proves nothing (503), and one that does (429, no connection)", short=1, long=6)
def refusals(arena: Arena, rounds: int) -> None:
    arena.house.hire()
    for _ in range(rounds):
        for mode in ("refuse:503", "refuse:429"):
            arena.judge.mode(mode, for_next=BATCH_SIZE)
            keys = arena.ask(BATCH_SIZE, "sure")
            arena.wait_asked(keys)
            arena.hit(keys=keys)
            arena.watch.mark()
        arena.to_judge.listen(listening=False)
        arena.ask(BATCH_SIZE, "sure")
        arena.last(2)
        arena.to_judge.listen(listening=True)
        arena.watch.mark()
    arena.rest()


@fault("F7", "the network cuts, half-closes or slows down with requests on their way", short=1, long=10)
def torn_connections(arena: Arena, rounds: int) -> None:
    arena.house.hire()
    tears: tuple[Callable[[], None], ...] = (
        lambda: arena.to_judge.cut("client"),
        lambda: arena.to_judge.cut("both"),
        arena.to_judge.half_close,
    )
    for _ in range(rounds):
        for tear in tears:
            half = CONCURRENT // 2
            keys = arena.ask_and_hold(half, mode=arena.hold_answers()) + arena.ask_and_hold(half, "sure", mode=HOLD)
            with arena.fault():
                tear()
                arena.let_go()
            arena.check("the judge was asked for all", len(keys) == CONCURRENT)
        with arena.to_judge.while_ordered(reset_after=arena.random.randint(0, 150)):
            keys = arena.ask(half) + arena.ask(half, "sure")
            arena.wait_asked(keys)
            arena.hit(keys=keys)
        arena.watch.mark()
        with arena.to_judge.while_ordered(delay=0.5):
            arena.ask(half)
            arena.ask(half, "sure")
            arena.last(1)
    arena.rest()


@fault("F8", "a request is delivered after its sender was killed", short=1, long=12)
def late_delivery(arena: Arena, rounds: int) -> None:
    """The network keeps what was sent, for less than the drain of what can be looked up; for longer of what cannot."""
    for number in range(rounds):
        task = ("sure", "strike")[number % 2] if rounds > 1 else "sure"
        [victim] = arena.house.hire()
        arena.to_judge.order(up="hold")
        keys = arena.ask(CONCURRENT, task)
        until(lambda: arena.to_judge.held > 100 * CONCURRENT, 30, "every request to be on its way")
        arena.wait_standing(keys, "sending")
        victim.kill9()
        arena.hit(keys=keys)
        arena.to_judge.keep(kept=True)
        arena.to_judge.order(up="pass")
        arena.watch.mark()
        [heir] = arena.house.hire()
        arena.wait_standing(keys, "unknown")
        arrives = _first_doubt(arena, keys) + arena.random.uniform(3.8, 4.3)
        arena.last(max(0.0, arrives - time.time()))  # within the drain of five seconds of each key, but only just
        arena.to_judge.keep(kept=False)
        arena.rest()
        heir.kill9()
    arena.house.hire()


def _first_doubt(arena: Arena, keys: list[str]) -> float:
    """Return when the first of these keys came to be in doubt; look-ups of it begin then, whatever becomes of the others."""
    names = Keys(AGENT)
    return min(int(arena.watch.client.hget(names.key(key), "since_ms")) for key in keys) / 1000


@fault("F8", "a request is never delivered and its sender is killed", short=1, long=6)
def never_delivered(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        [victim] = arena.house.hire()
        arena.to_judge.order(up="hold")
        keys = arena.ask(CONCURRENT, "sure")
        until(lambda: arena.to_judge.held > 100 * CONCURRENT, 30, "every request to be on its way")
        arena.wait_standing(keys, "sending")
        victim.kill9()
        arena.to_judge.cut("both")
        arena.hit(keys=keys)
        arena.to_judge.order(up="pass")
        arena.watch.mark()
        [heir] = arena.house.hire()
        arena.rest()
        heir.kill9()
    arena.house.hire()


@fault("F31", "look-ups know of an effect only later than its answer was lost", short=1, long=10)
def lagging_look_ups(arena: Arena, rounds: int) -> None:
    arena.house.hire()
    for _ in range(rounds):
        arena.judge.look_up_lag(arena.random.uniform(3.5, 4.5))
        arena.judge.mode(arena.random.choice(BROKEN_ANSWERS))
        keys = arena.ask(CONCURRENT, "sure")
        arena.wait_asked(keys)
        arena.hit(keys=keys)
        arena.judge.mode("ok")
        arena.watch.mark()
        arena.rest()
