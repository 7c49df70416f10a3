"""The decisions that wait for a person, a page at a time: effects in doubt and poison first, then approvals, then drafts."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from state.ledger import Ledger
from state.ledger.waiting import Waiting
from web.desk import cards
from web.desk.cards import Card

Kind = Literal["doubt", "approval"]

#: Cards of one kind on a page.
PER_PAGE = 20
#: Characters of payloads on a page, which keep it below 100 kB; one card may have more.
MAX_TEXT = 30_000
#: Digits of a number in a query.
MAX_DIGITS = 9


@dataclass(frozen=True)
class Page:
    """Some cards of one kind, how many there are in all, and where the next page begins (empty: there is none)."""

    cards: list[Card]
    total: int
    next: str


def page(agents: Sequence[str], kind: Kind, start: str, most: int = PER_PAGE) -> Page:
    """Return a page of one kind, oldest first.

    Args:
        agents: The agents.
        kind: "approval", or "doubt" for everything else that waits.
        start: Where it begins: the `next` of the page before, or "".
        most: How many cards it has at most.

    Raises:
        StoreError: Redis does not answer.

    """
    counts = Ledger().count_waiting(agents, kind)
    if not most:
        return Page([], sum(counts.values()), "")
    passed = {agent: number for agent, number in _read(start).items() if agent in counts}
    found = [_of_agent(agent, kind, passed.get(agent, 0), most) for agent in agents if counts[agent]]
    shown: list[Card] = []
    size = 0
    oldest = list(islice(heapq.merge(*found, key=lambda waiting: (waiting.since, waiting.agent, waiting.key)), most))
    for made in cards.cards(oldest):
        size += made.payload.shown_size if made.payload else 0
        if shown and size > MAX_TEXT:
            break
        shown.append(made)
        passed[made.waiting.agent] = passed.get(made.waiting.agent, 0) + 1
    total = sum(counts.values())
    return Page(shown, total, _written(passed) if sum(passed.values()) < total and shown else "")


def _of_agent(agent: str, kind: Kind, start: int, most: int) -> list[Waiting]:
    return list(Ledger().waiting(agent, start, most, kind))


def _read(start: str) -> dict[str, int]:
    """Return how many cards of each agent the pages before had; parts that no page of ours wrote count as none."""
    parts = (part.rpartition(".") for part in start.split(",")[:100])
    return {
        agent: int(number[:MAX_DIGITS])
        for agent, _, number in parts
        if agent and number.isascii() and number.isdecimal()
    }


def _written(passed: Mapping[str, int]) -> str:
    return ",".join(f"{agent}.{number}" for agent, number in sorted(passed.items()) if number)
