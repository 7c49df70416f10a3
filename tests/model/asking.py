"""An agent that asks: its questions, and the persons who answer them. Steps as in `actions`."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.actions import Step, changed
from tests.model.world import NOBODY, Attempt, Ledger, Rules, Scope, World

#: The texts that persons write are counted from here; those of attempts have their numbers.
WRITTEN = 100


def may_begin(attempt: Attempt, rules: Rules, scope: Scope) -> bool:
    """Whether an attempt goes on to its effect, as far as its claim knows; otherwise it asks."""
    return not scope.asks or not rules.approval or attempt.approved


def ask(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """The question is written to the journal before Redis knows of it."""
    for number, attempt in enumerate(world.attempts):
        if attempt.step == "claimed" and not may_begin(attempt, rules, scope):
            yield "ask", number, changed(world, number, step="asking", journal="asked" if rules.journal else "")


def hold_question(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    ledger = world.ledger
    for number, attempt in enumerate(world.attempts):
        if attempt.step != "asking" or (rules.run and ledger.run != world.run):
            continue
        if ledger.owner != number or ledger.state != "claimed":
            yield "hold in vain", number, changed(world, number, step="gone")
        else:
            asked = ledger._replace(state="asked", proposal=attempt.payload, approved=False, settled=True)
            yield "hold question", number, changed(world, number, asked, step="gone")


def see(world: World, _: Rules, scope: Scope) -> Iterator[Step]:
    """A person reads what waits, and decides later."""
    if scope.asks and world.ledger.state == "asked" and world.seen != world.ledger.proposal:
        yield "see", NOBODY, world._replace(seen=world.ledger.proposal)


def approve(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    """What the person saw is compared with what waits now."""
    ledger = world.ledger
    if world.seen == NOBODY:
        return
    if ledger.state != "asked" or (rules.seen and ledger.proposal != world.seen):
        yield "approve in vain", NOBODY, world._replace(seen=NOBODY)
        return
    yield "approve", NOBODY, _allowed(world, ledger.proposal, world.seen)


def revise(world: World, _: Rules, scope: Scope) -> Iterator[Step]:
    """A person sends another text instead, unless the first one may have been sent."""
    ledger, written = world.ledger, sum(text >= WRITTEN for text in world.read)
    if ledger.state == "asked" and ledger.payload == NOBODY and written < scope.edits:
        yield "revise", NOBODY, _allowed(world, WRITTEN + written, WRITTEN + written)


def _allowed(world: World, text: int, read: int) -> World:
    ledger = world.ledger._replace(state="waiting", proposal=text, approved=True)
    known = tuple(sorted({*world.read, read}))
    return world._replace(ledger=ledger, seen=NOBODY, read=known, unsaid=(world.ledger.owner, text))


def write_decision(world: World, _: Rules, __: Scope) -> Iterator[Step]:
    """The journal knows of it a moment later, or never."""
    if world.unsaid is not None:
        decided = (*world.decided, world.unsaid)
        yield "write decision", NOBODY, world._replace(unsaid=None, decided=decided)
        yield "forget decision", NOBODY, world._replace(unsaid=None)


def expire(world: World, _: Rules, __: Scope) -> Iterator[Step]:
    """Nobody answered: the key is free, and nothing may be sent."""
    if world.ledger.state == "asked":
        yield "expire", NOBODY, world._replace(ledger=world.ledger._replace(state="waiting", approved=False))


def as_decided(ledger: Ledger, owner: int, text: int) -> Ledger:
    """The key's record as the journal knows a question: the text that a person approved, or the question."""
    if text != NOBODY:
        return ledger._replace(state="waiting", owner=owner, proposal=text, approved=True)
    return ledger._replace(state="asked", owner=owner, proposal=owner, approved=False)


def decided_text(world: World, owner: int, rules: Rules) -> int:
    """The text that the journal says a person approved of the question of this attempt."""
    said = [text for number, text in world.decided if number == owner]
    if not rules.decision_names_attempt and world.decided:
        return owner
    return said[-1] if said else NOBODY
