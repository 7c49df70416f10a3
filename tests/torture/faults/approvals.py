"""An agent that asks, and persons who approve while its workers die: what was approved is sent once, and nothing else."""

from __future__ import annotations

import json
import threading
from contextlib import closing, suppress

from state.redis.keys import Keys
from tests.harness import GaveUp
from tests.harness.shell import Shell
from tests.torture.arena import Arena
from tests.torture.house import wait_dead
from tests.torture.orders import stumble
from tests.torture.producer import AGENT, Producer
from tests.torture.scenario import fault

#: Steps at which a worker dies that has what a person approved, and whether a key is in its sending window there.
STEPS = {
    "cross.before": False,
    "script.before": True,
    "script.after": True,
    "connect.before": True,
    "answer.after": True,
    "settle.before": True,
}
#: Keys of one round.
KEYS = 8


@fault("F2", "SIGKILL of a worker while two persons approve what it asked for", short=2, long=18,
       env={"AUTONOMY_TORTURER": "ask"}, epilogue=False)  # fmt: skip
def killed_around_approvals(arena: Arena, rounds: int) -> None:
    steps = list(STEPS)
    arena.random.shuffle(steps)
    with closing(Shell(arena.house)) as other:
        for number in range(rounds):
            step = steps[number % len(steps)]
            orders = stumble(step, nth=arena.random.randint(1, 4))
            [asker] = arena.house.hire()  # the victim would stumble over some steps while it asks
            keys = arena.ask(KEYS)
            arena.wait_standing(keys, "held")
            asker.kill9()
            [victim] = arena.house.hire(concurrency=4, STUMBLE=orders)
            persons = [threading.Thread(target=_approve, args=(shell, keys)) for shell in (arena.producer, other)]
            for person in persons:
                person.start()
            with suppress(GaveUp):
                wait_dead(victim, 20)
            arena.hit(victim, more=int(STEPS[step]))
            victim.kill9()
            arena.watch.mark()
            for person in persons:
                person.join()
            [heir] = arena.house.hire()
            arena.wait_standing(keys, "done", "unknown", deadline=60)
            arena.say(KEYS)
            heir.kill9()
    arena.house.hire()
    _check_what_was_sent(arena)


def _approve(shell: Shell | Producer, keys: list[str]) -> None:
    """Approve all; of two persons who approve one key, one is refused."""
    for key in keys:
        with suppress(AssertionError):
            shell.gate("approve", key, "--why", "read it")


def _check_what_was_sent(arena: Arena) -> None:
    """Compare each text that arrived with the one that a person saw."""
    for row in arena.judge.rows():
        if not row["body"]:
            continue  # its sender was killed between the headers and the body
        seen = arena.watch.client.hget(Keys(AGENT).key(row["key"]), "proposal")
        arena.check(
            f"{row['key']}: sent {row['body']}, seen {seen}", json.loads(row["body"]) == json.loads(seen or "0")
        )
