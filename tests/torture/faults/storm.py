"""Everything at once: a steady stream of effects, and a nemesis that draws one fault after the other by lot."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.harness import GaveUp, Process, until
from tests.torture.arena import Arena
from tests.torture.faults.losses import EMPTYINGS, recover
from tests.torture.scenario import fault

#: Seconds of storm in one round.
ROUND = 30.0
WORKERS = 3
#: Seconds that the network or the judge keeps a request at most: well below the drain time, as a provider must.
MAX_HOLD = 1.5


class Nemesis:
    """Each method is one fault, from its beginning to its end."""

    def __init__(self, arena: Arena) -> None:
        self._arena, self._random = arena, arena.random
        self.told: list[str] = []

    def strike(self) -> None:
        """One fault, drawn by lot, and then enough workers again."""
        actions: list[Callable[[], None]] = [
            self.kill, self.kill, self.stop_a_worker, self.stop_and_kill, self.kill_the_store, self.stop_the_store,
            self.cut_the_store, self.lose_answers_of_the_store, self.cut_the_judge, self.hold_the_network,
            self.close_the_judge, self.break_answers, self.empty_the_store, self.empty_the_broker, self.terminate,
        ]  # fmt: skip
        action = self._random.choice(actions)
        self.told.append(action.__name__)
        action()
        self._arena.house.revive(WORKERS)
        self._arena.watch.mark()

    def kill(self) -> None:
        victim = self._victim()
        self._arena.hit(victim)
        victim.kill9()

    def terminate(self) -> None:
        victim = self._victim()
        self._arena.hit(victim)
        victim.terminate(40)

    def stop_a_worker(self) -> None:
        victim = self._victim()
        victim.pause()
        self._arena.hit(victim)
        self._last(0.5, 7)
        victim.resume()

    def stop_and_kill(self) -> None:
        victim = self._victim()
        victim.pause()
        self._arena.hit(victim)
        self._last(0.5, 7)
        victim.kill9()

    def kill_the_store(self) -> None:
        self._arena.hit()
        self._arena.valkey.kill9()
        self._last(0, 3)
        self._arena.valkey.start()

    def stop_the_store(self) -> None:
        self._arena.hit()
        self._arena.valkey.pause()
        self._last(0.5, 6)
        self._arena.valkey.resume()

    def cut_the_store(self) -> None:
        self._arena.hit()
        self._arena.to_store.cut("both")

    def lose_answers_of_the_store(self) -> None:
        with self._arena.to_store.while_ordered(lose_share=0.03):
            self._last(1, 2)
            self._arena.hit()

    def cut_the_judge(self) -> None:
        self._arena.hit()
        self._arena.to_judge.cut(self._random.choice(["client", "both"]))

    def hold_the_network(self) -> None:
        with self._arena.to_judge.while_ordered(**{self._random.choice(["up", "down"]): "hold"}):
            self._last(0.2, MAX_HOLD)
            self._arena.hit()
            if self._random.random() < 0.5:
                self._victim().kill9()

    def close_the_judge(self) -> None:
        self._arena.to_judge.listen(listening=False)
        self._arena.hit()
        self._last(0.5, 2)
        self._arena.to_judge.listen(listening=True)

    def break_answers(self) -> None:
        self._arena.judge.mode(self._random.choice(["apply_then_drop", "apply_then_reset", "refuse:503", "truncate"]))
        self._last(0.5, 1)
        self._arena.hit()
        self._arena.judge.mode(STEADY)

    def empty_the_store(self) -> None:
        self._arena.hit()
        EMPTYINGS[self._random.choice(list(EMPTYINGS))](self._arena.valkey)
        self._last(0, 1)
        recover(self._arena)

    def empty_the_broker(self) -> None:
        self._arena.hit()
        self._arena.valkey.client().delete("celery", "unacked", "unacked_index")

    def _victim(self) -> Process:
        return self._random.choice(self._arena.house.living)

    def _last(self, least: float, most: float) -> None:
        self._arena.last(self._random.uniform(least, most))


#: The judge takes its time, so that there is always something on its way.
STEADY = "delay_after:1"


@fault(
    "mix",
    "all of these in any order, under a steady stream of effects",
    short=1,
    long=10,
    env={"LEASE": "4s"},
    limit=240,
)
def storm(arena: Arena, rounds: int) -> None:
    arena.house.hire(WORKERS)
    arena.judge.mode(STEADY)
    nemesis = Nemesis(arena)
    for _ in range(rounds):
        end = time.monotonic() + ROUND
        while time.monotonic() < end:
            arena.ask(arena.random.randint(10, 30), arena.random.choice(["strike", "sure", "steps"]))
            nemesis.strike()
        arena.judge.mode("ok")
        until(lambda: len(arena.house.living) >= WORKERS, 5, "enough workers")
        try:
            arena.rest(90)
        except GaveUp:
            arena.check(f"after {', '.join(nemesis.told[-12:])}", holds=False)
            return
        arena.judge.mode(STEADY)
