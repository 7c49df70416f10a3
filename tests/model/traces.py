"""Ways through the model as data, to be walked on the real thing: `python -m tests.model.traces` prints them as JSON.

A trace is a list of steps: what, which attempt (-1: none), `copy` if Redis as it is before the step is what it will fall
back to, and what is to be seen after it: the key's state, its holder, whether effects are open, how often it happened.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.model.actions import is_open
from tests.model.search import Search, steps
from tests.model.world import NOBODY, Rules, Scope, World

#: Small ones, without actors that act late: what the code does in one step is one step here.
SCOPES = (
    Scope(3),
    Scope(2, 1, ("flush",), spare=1),
    Scope(2, 2, ("flush",)),
    Scope(2, 1, ("rollback",)),
    Scope(2, 1, ("restart",)),
    Scope(2, 1, ("evict",)),
    Scope(2, hosts=2),
    Scope(2, 1, ("lost answers", "flush")),
    Scope(2, 1, ("lost answers", "restart")),
)
#: States of a key in which its record names an attempt that matters.
_HELD = ("claimed", "sending", "unknown")

Trace = list[dict[str, Any]]


def step(what: str, number: int, before: World, after: World) -> dict[str, Any]:
    """One step with what is to be seen after it."""
    ledger = after.ledger
    return {
        "what": what,
        "attempt": number,
        "copy": before.copy is None and after.copy is not None,
        "state": ledger.state,
        "holder": ledger.owner if ledger.state in _HELD else NOBODY,
        "open": is_open(after._replace(reading=None), Rules()),
        "applied": sum(a.wire == "applied" for a in after.attempts),
        "reading": after.reading is not None,
        "answer": after.attempts[number].answer if number != NOBODY else "",
    }


def shortest(scope: Scope, at_most: int) -> Iterator[Trace]:
    """The shortest way to each kind of world, evenly taken from all of them."""
    search = Search(Rules(), scope)
    search.run()
    first: dict[Any, int] = {}
    for number, world in enumerate(search.worlds):
        first.setdefault(_kind(world), number)
    chosen = list(first.values())
    for number in chosen[:: max(1, len(chosen) // at_most)]:
        way = [number]
        while way[-1]:
            way.append(search.came[way[-1]][0])
        way.reverse()
        worlds = [search.worlds[n] for n in way]
        names = [search.came[n][1:] for n in way[1:]]
        trace = [step(*name, a, b) for name, a, b in zip(names, worlds, worlds[1:], strict=False)]
        if _is_walkable(trace):
            yield trace


def random_walk(scope: Scope, seed: int, length: int = 60) -> Trace:
    """A walk that takes any step, but faults less often."""
    chance, world = random.Random(seed), scope.start()
    trace: Trace = []
    while len(trace) < length:
        ways = [way for way in steps(world, Rules(), scope) if way[1] in _NEXT.get(_last(trace), (way[1],))]
        if not ways:
            break
        weights = [1 if is_fault else 4 for is_fault, *_ in ways]
        _, what, number, after = chance.choices(ways, weights)[0]
        trace.append(step(what, number, world, after))
        world = after
    return trace


#: The code does these in one step.
_NEXT = {"audit": ("reopen",)}


def _last(trace: Trace) -> str:
    return trace[-1]["what"] if trace else ""


def _is_walkable(trace: Trace) -> bool:
    names = [one["what"] for one in trace] + [""]
    return all(after in _NEXT.get(name, (after,)) for name, after in pairwise(names))


def _kind(world: World) -> Any:
    """What makes a world worth a visit: where everybody stands, without the numbers."""
    ledger = world.ledger
    attempts = tuple((a.step, a.journal, a.wire) for a in world.attempts)
    key = ledger.state, ledger.gone, ledger.drain, ledger.mark
    recovery = world.recovery and (world.recovery.read, world.recovery.written, world.recovery.journal)
    return key, attempts, recovery, is_open(world, Rules()), world.losses


def everything(walks: int = 40, ways: int = 40) -> Iterator[Trace]:
    """All traces: shortest ways and random walks of each scope."""
    for scope in SCOPES:
        yield from shortest(scope, ways)
        for seed in range(walks):
            yield random_walk(scope, seed)


if __name__ == "__main__":
    json.dump(list(everything()), sys.stdout, indent=1)
