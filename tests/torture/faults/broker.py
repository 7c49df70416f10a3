"""Messages that come twice, and messages that are gone."""

from __future__ import annotations

from tests.harness import until
from tests.torture.arena import HOLD, Arena
from tests.torture.scenario import fault

#: What kombu keeps in Redis: the queue, and what was taken from it and is not acknowledged.
BROKER = ("celery", "unacked", "unacked_index")


@fault("F9", "the visibility timeout is shorter than the task: each message is delivered again", short=1, long=8,
       env={"VISIBILITY_TIMEOUT": "2"})  # fmt: skip
def seen_again(arena: Arena, rounds: int) -> None:
    arena.house.hire(2)
    for _ in range(rounds):
        half = 8
        keys = arena.ask_and_hold(half, mode=HOLD) + arena.ask_and_hold(half, "sure", mode="delay_after:300")
        arena.hit()
        arena.last(8)  # four times the timeout; kombu looks every five seconds
        arena.let_go()
        arena.watch.mark()
        arena.wait_standing(keys, "done")


@fault("F9", "the broker is emptied by hand while calls wait and run", short=1, long=8)
def broker_emptied(arena: Arena, rounds: int) -> None:
    arena.house.hire(2, concurrency=8)
    client = arena.valkey.client()
    for _ in range(rounds):
        arena.judge.mode(HOLD)
        arena.ask(40)
        until(lambda: len(arena.judge.open()) == 16, 30, "both workers to have their hands full")
        with arena.fault():
            client.delete(*BROKER)
            arena.let_go()
        arena.rest(90)
