"""What can happen next: each function yields every step of one kind, as (what, to which attempt, the world after it)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model import host_copies
from tests.model.world import NOBODY, Attempt, Ledger, Rules, Scope, World

Step = tuple[str, int, World]
WORKERS = 2
#: States that an attempt may end; the last two only if it says that the effect happened.
_CAN_END = ("claimed", "sending", "unknown", "held", "waiting")
_ON_ITS_WAY = ("flying", "draining")
#: The journal's words of an attempt, the strongest last.
BELIEVED = {"": 0, "asked": 1, "intent": 1, "unknown": 2, "failed": 3, "absent": 4, "done": 5}


def floor(world: World) -> int:
    """The highest fence that the journal holds."""
    return max([world.other, *(a.fence for a in world.attempts if a.journal)])


def is_open(world: World, rules: Rules) -> bool:
    """Whether admission finds the ledger sound: nothing that the journal knows is missing in it."""
    ledger = world.ledger
    epoch, fence = world.reading or (world.epoch, floor(world))
    return not (
        world.incomplete
        or (rules.epoch and ledger.epoch != epoch)
        or ledger.recovering
        or (rules.run and ledger.run != world.run)
        or (rules.floor and ledger.fence < fence)
        or (rules.mark and ledger.mark and ledger.state == "none")
    )


def changed(world: World, number: int, ledger: Ledger | None = None, **fields: object) -> World:
    """The world with other fields of one attempt, and with another ledger if one is given."""
    attempts = list(world.attempts)
    attempts[number] = attempts[number]._replace(**fields)  # type: ignore[arg-type]  # the fields of Attempt
    if ledger is None:
        return world._replace(attempts=tuple(attempts))
    return world._replace(attempts=tuple(attempts), ledger=ledger)


def noted(attempt: Attempt, outcome: str) -> str:
    """What the journal says of an attempt once this is appended: the strongest word counts."""
    return max(attempt.journal, outcome, key=BELIEVED.__getitem__)


def draining(world: World) -> World:
    """The drain begins: it covers what is on its way now, and nothing that is sent later."""
    attempts = tuple(a._replace(wire="draining") if a.wire == "flying" else a for a in world.attempts)
    return world._replace(attempts=attempts, ledger=world.ledger._replace(drain="running"))


def freed(ledger: Ledger) -> Ledger:
    return ledger._replace(state="waiting", mark=False, gone=False, drain="")


def unsent(ledger: Ledger) -> Ledger:
    """The same by the attempt's own proof: a text that was its own is forgotten."""
    return freed(ledger)._replace(payload=NOBODY if ledger.payload == ledger.owner else ledger.payload)


def ended(world: World, outcome: str) -> World:
    """The key's record once its attempt ended like this, by its owner's own word."""
    if outcome == "done":
        return world._replace(ledger=world.ledger._replace(state="done", gone=False, drain=""))
    if outcome == "failed":
        return world._replace(ledger=unsent(world.ledger))
    if outcome == "absent":
        return world._replace(ledger=freed(world.ledger))
    return draining(world._replace(ledger=world.ledger._replace(state="unknown", gone=True, told=False)))


def settled(world: World) -> World:
    return world._replace(ledger=world.ledger._replace(settled=True))


# --- a worker ---------------------------------------------------------------------------------------------------------


def read(world: World, _: Rules, scope: Scope) -> Iterator[Step]:
    """What a worker read may be old when it is used: that matters only if something is lost in between."""
    now = (world.epoch, floor(world))
    if "lagging standby" in scope.kinds or "split" in scope.kinds:  # each reading brings the copy up to date first
        return
    if world.losses and world.reading != now and len(world.attempts) < scope.attempts:
        yield "read", NOBODY, world._replace(reading=now)
    elif world.reading not in (None, now):
        yield "read", NOBODY, world._replace(reading=None)


def claim(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    ledger, number = world.ledger, len(world.attempts)
    is_free = ledger.state in ("none", "waiting") or (rules.takeover and ledger.state in ("claimed", "sending"))
    working = sum(a.step != "gone" for a in world.attempts)
    if number >= scope.attempts or working >= WORKERS or not is_free:
        return
    if rules.adopts and not ledger.epoch and (world.reading or (0, floor(world)))[1] == 0:
        ledger = ledger._replace(epoch=world.epoch)
        world = world._replace(ledger=ledger)
    if is_open(world, rules):
        fence = ledger.fence + 1
        approved = ledger.proposal if ledger.approved and rules.exact else number
        payload = approved if ledger.payload == NOBODY else ledger.payload
        attempt = Attempt(fence, ledger.epoch, payload, approved=ledger.approved)
        ledger = ledger._replace(
            state="claimed", owner=number, fence=fence, settled=False, gone=False, drain="", told=False
        )
        reading = world.reading if number + 1 < scope.attempts else None
        after = world._replace(ledger=ledger, reading=reading)
        for host in range(min(number + 1, scope.hosts)):  # the first attempt may be on any: let that one be called 0
            if (not number or not world.gone >> host & 1) and host_copies.may_begin(world, host):
                taken = after._replace(attempts=(*world.attempts, attempt._replace(host=host)))
                yield "claim", number, host_copies.read_by(taken, host, scope)


def write_intent(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    before = "claimed" if rules.intent_first else "crossing"
    after = "ready" if rules.intent_first else "crossed"
    for number, attempt in enumerate(world.attempts):
        if attempt.step == before and (not scope.asks or attempt.approved or not rules.approval):
            journal = "intent" if rules.journal else ""
            if world.stale >> attempt.host & 1:
                continue
            if rules.journal_epoch and (attempt.epoch != world.epoch or world.incomplete):
                ignored = "" if rules.named_by_owner else "failed"
                yield "outdated", number, changed(world, number, step="gone", journal=ignored)
            else:
                written = changed(world, number, step=after, journal=journal, behind=world.numbered)
                yield "intent", number, host_copies.read_by(written, attempt.host, scope)


def cross(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    ledger = world.ledger
    before = "ready" if rules.intent_first else "claimed"
    after = "crossed" if rules.intent_first else "crossing"
    for number, attempt in enumerate(world.attempts):
        if attempt.step != before:
            continue
        lost = (ledger.owner != number or ledger.state != "claimed") and rules.fence
        lost = lost or ledger.state not in ("claimed", "sending")
        closed = (rules.epoch and ledger.epoch != attempt.epoch) or ledger.recovering
        text = attempt.payload if ledger.payload == NOBODY else ledger.payload
        is_allowed = ledger.approved and (ledger.proposal == text or not rules.exact)
        unasked = scope.asks and rules.approval and not is_allowed
        if lost or closed or unasked or (rules.run and ledger.run != world.run):
            yield "refused", number, changed(world, number, step="gone", journal=noted(attempt, "failed"))
            continue
        sending = ledger._replace(state="sending", payload=text, mark=True)
        crossed = changed(world, number, sending, step=after, payload=text)
        yield "cross", number, crossed if rules.drain_from_death else draining(crossed)


def send(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    """An attempt looks at its lease right before it sends."""
    for number, attempt in enumerate(world.attempts):
        if attempt.step == "crossed" and attempt.late:
            yield "too late", number, changed(world, number, step="answered", answer="failed")
        elif attempt.step == "crossed" and rules.lease_gap:
            yield "look at lease", number, changed(world, number, step="in time")
        elif attempt.step in ("crossed", "in time"):
            yield "send", number, changed(world, number, step="sent", wire="flying")


def hear(world: World, _: Rules, __: Scope) -> Iterator[Step]:
    """The answer comes, or the worker gives up waiting for it, whatever became of the request."""
    for number, attempt in enumerate(world.attempts):
        if attempt.step == "sent":
            if attempt.wire == "applied":
                yield "hear done", number, changed(world, number, step="answered", answer="done")
            elif attempt.wire == "refused":
                yield "hear refused", number, changed(world, number, step="answered", answer="failed", wire="proven")
            wire = "lost" if attempt.wire == "refused" else attempt.wire
            yield "give up", number, changed(world, number, step="answered", answer="unknown", wire=wire)


def write_outcome(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    for number, attempt in enumerate(world.attempts):
        if attempt.step == "answered":
            answer = "failed" if rules.release and attempt.answer == "unknown" else attempt.answer
            journal = noted(attempt, answer) if rules.journal else ""
            yield "outcome", number, changed(world, number, step="written", answer=answer, journal=journal)


def settle(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    ledger = world.ledger
    for number, attempt in enumerate(world.attempts):
        if attempt.step == "written" and not (rules.settle_waits and rules.run and ledger.run != world.run):
            known = _CAN_END if attempt.answer == "done" and ledger.payload != NOBODY else _CAN_END[:3]
            lost = (rules.fence and ledger.owner != number) or ledger.state not in known
            after = changed(world, number, step="gone", answer="")
            if lost:
                yield "settle in vain", number, after
            elif scope.hosts > 1 and attempt.answer == "unknown":  # each host begins the drain by its own clock
                doubt = ledger._replace(state="unknown", gone=True, told=False, drain="")
                yield "settle", number, settled(after._replace(ledger=doubt))
            else:
                yield "settle", number, settled(ended(after, attempt.answer))


# --- the network, the provider, and what breaks -----------------------------------------------------------------------


def arrive(world: World, _: Rules, __: Scope) -> Iterator[Step]:
    for number, attempt in enumerate(world.attempts):
        if attempt.wire in _ON_ITS_WAY:
            yield "apply", number, changed(world, number, wire="applied")
            if attempt.step == "sent":
                yield "refuse", number, changed(world, number, wire="refused")
            yield "lose request", number, changed(world, number, wire="lost")


def kill(world: World, _: Rules, __: Scope) -> Iterator[Step]:
    for number, attempt in enumerate(world.attempts):
        if attempt.step != "gone":
            wire = "lost" if attempt.wire == "refused" else attempt.wire
            yield "kill", number, changed(world, number, step="gone", answer="", wire=wire)


def lose(world: World, _: Rules, scope: Scope) -> Iterator[Step]:
    """The store loses all, falls back to an older ledger, evicts the key's record, or is only started anew."""
    if not world.losses or (scope.patient and (world.stale & ~world.gone or world.incomplete)):
        return
    ledger, left = world.ledger, world.losses - 1
    if "flush" in scope.kinds:
        yield "flush", NOBODY, world._replace(ledger=Ledger(epoch=0, run=ledger.run), losses=left)
    if world.copy is not None and "rollback" in scope.kinds:
        yield "roll back", NOBODY, world._replace(ledger=world.copy, run=world.run + 1, losses=left, copy=None)
    if "restart" in scope.kinds:
        yield "restart", NOBODY, world._replace(run=world.run + 1, losses=left)
    if "evict" in scope.kinds and ledger.mark:  # before the effect there is nothing to lose but a claim
        bare = Ledger(ledger.epoch, ledger.run, ledger.recovering, ledger.fence, mark=ledger.mark)
        yield "evict", NOBODY, world._replace(ledger=bare, losses=left)


def copies(before: World, after: World, scope: Scope) -> Iterator[World]:
    """The world after a step, and once more with the ledger from before it kept, for the store to fall back to."""
    keeps = "rollback" in scope.kinds or "split" in scope.kinds
    for each in host_copies.snapshots(before, after, scope):
        yield each
        if each.losses and keeps and each.copy is None and before.ledger != each.ledger:
            yield each._replace(copy=before.ledger)


def other_key(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """Another key of the agent is claimed, and its intent written, so that the counter of fences moves."""
    if world.ledger.fence < scope.other_keys and is_open(world, rules):
        fence = world.ledger.fence + 1
        ledger = world.ledger._replace(fence=fence)
        yield "claim of another key", NOBODY, world._replace(ledger=ledger)
        yield "intent of another key", NOBODY, world._replace(ledger=ledger, other=max(world.other, fence))
