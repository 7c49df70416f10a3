"""The cards of keys that wait for a person: what each button does, why it waits, the evidence, and what would be sent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gatekeeper.policies.spec import registered
from state.agents import history
from state.ledger.waiting import Kind, Waiting
from web.desk import preview
from web.desk.preview import Preview
from workers.commands import explain, sentences, story
from workers.commands.output import plain

#: Events of a story that a card shows; the page of the key has all.
MAX_EVENTS = 8


@dataclass(frozen=True)
class Button:
    """One button of a card: the decision that it sends, its text, and what happens then."""

    verb: str
    text: str
    then: str
    is_main: bool = False


@dataclass(frozen=True)
class Event:
    """One line of a story."""

    at: str
    name: str
    words: str


@dataclass(frozen=True)
class Card:
    """One key that waits for a person, as a page shows it."""

    id: str  #: of the element in the page
    waiting: Waiting
    question: str
    told: tuple[str, ...]  #: what happened, and why it waits, in sentences
    story: tuple[Event, ...]
    left_out: int  #: events before those of `story`
    payload: Preview | None
    buttons: tuple[Button, ...]
    otherwise: str  #: what happens if nobody decides

    @property
    def is_approval(self) -> bool:
        return self.waiting.kind == "approval"

    @property
    def can_be_edited(self) -> bool:
        return self.is_approval and self.payload is not None


def card(waiting: Waiting, limit: int | None = preview.MAX_IN_CARD) -> Card:
    """Return the card of one key, as `cards` does."""
    return cards([waiting], limit)[0]


def cards(waiting: Sequence[Waiting], limit: int | None = preview.MAX_IN_CARD) -> list[Card]:
    """Return the cards of keys, with their stories.

    Args:
        waiting: The keys.
        limit: Characters of each payload that are shown; None for all, and for the whole story.

    Raises:
        StoreError: Redis does not answer.

    """
    records = history.of_keys([(each.agent, each.key) for each in waiting])
    return [_card(each, record, limit) for each, record in zip(waiting, records, strict=True)]


def _card(waiting: Waiting, record: dict[str, Any] | None, limit: int | None) -> Card:
    told, events = _told(waiting, plain(record)) if record else ((waiting.why,), [])
    newest = events[-MAX_EVENTS:] if limit else events
    return Card(
        id=element_id(waiting.agent, waiting.key),
        waiting=waiting,
        question=_QUESTIONS[waiting.kind],
        told=told,
        story=tuple(newest),
        left_out=len(events) - len(newest),
        payload=preview.of(waiting.payload, waiting.digest, limit),
        buttons=_BUTTONS[waiting.kind],
        otherwise=_otherwise(waiting),
    )


def element_id(agent: str, key: str) -> str:
    """Return the id of a card's element, by which a refreshed page finds it again."""
    return f"k{hashlib.sha256(f'{agent}/{key}'.encode(errors='replace')).hexdigest()[:12]}"


def _told(waiting: Waiting, record: dict[str, Any]) -> tuple[tuple[str, ...], list[Event]]:
    case = explain.case_of(
        {**record, "answer": None}
    )  # that of its call is not read: it tells nothing of a key that waits
    told = sentences.about(case)
    happened = () if waiting.kind == "approval" else (explain.sentence(told.happened),)
    events = [Event(each["at"], each["event"], story.words(each)) for each in case.story]
    return (*happened, explain.sentence(told.why or waiting.why)), events


def _otherwise(waiting: Waiting) -> str:
    spec = registered().get(waiting.task)
    match waiting.kind:
        case "approval":
            return "the question expires then, and nothing is sent" if waiting.expires else "nothing is sent"
        case "poison":
            return "it stays here, and nothing is sent"
    if waiting.state == "unknown" and spec and spec.verify:
        return "it is looked up by itself; it is sent again only if look-ups prove that it is not out there"
    return "it stays here, and it is never sent again by itself"


_QUESTIONS: dict[Kind, str] = {
    "doubt": "Did this happen?",
    "approval": "Shall this be sent?",
    "poison": "Shall this run again?",
}
_CANCEL = Button("cancel", "Cancel", "it is never sent, whatever became of it")
_BUTTONS: dict[Kind, tuple[Button, ...]] = {
    "doubt": (
        Button("applied", "It happened", "it is done, and never sent again"),
        Button("not-applied", "It did not", "it is sent now, exactly as shown"),
        _CANCEL,
    ),
    "approval": (
        Button("reject", "Reject", "it is never sent"),
        Button("approve", "Approve", "it is sent now, exactly as shown", is_main=True),
    ),
    "poison": (
        Button("approve", "Run it again", "a worker takes it now; nothing was sent so far"),
        Button("cancel", "Cancel", "it never runs"),
    ),
}
