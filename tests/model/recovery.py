"""Those who compare Redis with the journal after it was started anew, and rebuild it from there. Steps as in `actions`."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model import database, host_copies
from tests.model.actions import Step, floor, freed, is_open, unsent
from tests.model.asking import as_decided, decided_text
from tests.model.world import NOBODY, Attempt, Audit, Ledger, Recovery, Rules, Scope, World

_UNDER_WAY = ("claimed", "sending", "unknown", "held", "asked")


def audit(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """A restart may have lost nothing: that is so if the ledger's fence reaches as far as the journal's.

    A new epoch is appended, and everything before it is read.
    """
    ledger = world.ledger
    is_due = rules.run and ledger.run != world.run and world.audit is None and world.recovery is None
    is_due = is_due and host_copies.is_readable(world, scope)
    is_lost = (
        ledger.recovering
        or ledger.epoch not in (world.epoch, world.before)
        or (rules.mark and ledger.mark and ledger.state == "none")
    )
    if is_due and not is_lost and (ledger.fence >= floor(world) or not rules.floor):
        if not rules.epoch_alone and not world.numbered:
            yield "number epoch", NOBODY, world._replace(numbered=True)
            return
        world = complete(world, rules)._replace(numbered=False)
        owner = ledger.owner
        epoch = max(world.epoch, world.newest) + 1 if rules.audit_epoch else world.epoch
        known = ledger.state in _UNDER_WAY and not world.attempts[owner].behind
        said = world.attempts[owner].journal if known else ""
        yield (
            "audit",
            NOBODY,
            world._replace(epoch=epoch, before=ledger.epoch, audit=Audit(epoch, world.run, owner, said)),
        )


def reopen(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    """This run of the server is known from now on; a key under way is where the journal saw it."""
    ledger, seen = world.ledger, world.audit
    if seen is None:
        return
    after = world._replace(audit=None)
    if seen.run != world.run or ledger.recovering or not ledger.epoch:
        yield "reopen in vain", NOBODY, after
        return
    if seen.journal == "asked" and ledger.owner == seen.owner and ledger.state in ("claimed", "asked"):
        ledger = as_decided(ledger, seen.owner, decided_text(world, seen.owner, rules))
    elif rules.audit_moves and seen.journal and ledger.owner == seen.owner and ledger.state in _UNDER_WAY:
        ledger = as_journaled(ledger._replace(payload=world.attempts[seen.owner].payload), seen.owner, seen.journal)
    yield "reopen", NOBODY, after._replace(before=0, ledger=ledger._replace(run=world.run, epoch=seen.epoch))


def as_journaled(ledger: Ledger, owner: int, journal: str) -> Ledger:
    """The key's record as the journal knows it, unless it knows as much already."""
    if journal == "done":
        return ledger._replace(state="done", owner=owner, mark=True, gone=False, drain="")
    if journal == "failed":
        return unsent(ledger._replace(owner=owner))
    if journal == "absent":
        return freed(ledger)
    if ledger.owner == owner and ledger.state in ("sending", "unknown", "held"):
        return ledger
    return ledger._replace(state="unknown", owner=owner, mark=True, gone=False, drain="")


def complete(world: World, rules: Rules) -> World:
    """An epoch ends that the journal is incomplete: what Redis knows has to be taken over before."""
    return (
        database.taken_over(world) if world.incomplete and rules.epoch_takes_over else world._replace(incomplete=False)
    )


def begin_recovery(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """A person starts it where effects are closed, or, once, where they are not: effects are closed, the epoch ends."""
    if world.recovery is not None or world.audit is not None or not host_copies.is_readable(world, scope):
        return
    is_needed = not is_open(world._replace(reading=None), rules)
    if is_needed or world.spare:
        world = complete(world, rules)
        epoch = max(world.epoch, world.newest) + 1
        ledger = world.ledger._replace(recovering=epoch)
        after = world._replace(ledger=ledger, epoch=epoch, before=0, recovery=Recovery(epoch, world.run))
        yield "begin recovery", NOBODY, after._replace(spare=world.spare - (not is_needed))


def read_journal(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    """The newest attempt counts, and any that is done."""
    recovery = world.recovery
    if recovery is None or recovery.read:
        return
    known = sorted((a.epoch, a.fence, n) for n, a in enumerate(world.attempts) if a.journal)
    found = recovery._replace(read=True)
    if known:
        owner = known[-1][2]
        payload = world.attempts[known[-1 if rules.newest_payload else 0][2]].payload
        is_done = any(world.attempts[n].journal == "done" for _, _, n in known)
        journal = "done" if is_done else world.attempts[owner].journal
        text = decided_text(world, owner, rules) if journal == "asked" else NOBODY
        found = recovery._replace(read=True, owner=owner, journal=journal, payload=payload, text=text)
    yield "read journal", NOBODY, world._replace(recovery=found)


def is_mine(world: World, recovery: Recovery, rules: Rules) -> bool:
    """Whether this is still the ledger that the recovery closed."""
    is_same = world.ledger.recovering == recovery.epoch and world.run == recovery.run
    return is_same or not rules.recovery_token


def write_key(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    recovery = world.recovery
    if recovery is None or not recovery.read or recovery.written:
        return
    if is_mine(world, recovery, rules):
        ledger = rebuilt(world.ledger, recovery, world.attempts)
        yield "rebuild key", NOBODY, world._replace(ledger=ledger, recovery=recovery._replace(written=True))
    else:
        yield "recovery stops", NOBODY, world._replace(recovery=None)


def rebuilt(ledger: Ledger, recovery: Recovery, attempts: tuple[Attempt, ...]) -> Ledger:
    """The key's record once the recovery wrote what it read; nothing is written over what Redis knows better."""
    if recovery.owner == NOBODY or ledger.state == "done":
        return ledger
    if recovery.journal == "asked":
        return _rebuilt_question(ledger, recovery, attempts)
    ledger = ledger._replace(payload=recovery.payload)
    if ledger.owner != NOBODY and attempts[ledger.owner].fence > attempts[recovery.owner].fence:
        return ledger
    if ledger.owner == recovery.owner and ledger.settled and recovery.journal in ("intent", "unknown"):
        return ledger
    return as_journaled(ledger, recovery.owner, recovery.journal)


def _rebuilt_question(ledger: Ledger, recovery: Recovery, attempts: tuple[Attempt, ...]) -> Ledger:
    """The key's record where a question is the newest that the journal knows."""
    if ledger.owner != NOBODY and attempts[ledger.owner].fence > attempts[recovery.owner].fence:
        return ledger
    if ledger.owner == recovery.owner and ledger.state in ("asked", "waiting") and recovery.text == NOBODY:
        return ledger
    return as_decided(ledger, recovery.owner, recovery.text)


def open_effects(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    recovery, ledger = world.recovery, world.ledger
    if recovery is None or not recovery.written:
        return
    after = world._replace(recovery=None)
    if is_mine(world, recovery, rules):
        fence = max(ledger.fence, floor(world))
        whole = ledger._replace(epoch=recovery.epoch, run=world.run, recovering=0, fence=fence)
        yield "open effects", NOBODY, after._replace(ledger=whole)
    else:
        yield "recovery stops", NOBODY, after


def kill_audit(world: World, _: Rules, __: Scope) -> Iterator[Step]:
    if world.audit is not None and world.spare:
        yield "kill audit", NOBODY, world._replace(audit=None, spare=world.spare - 1)


def kill_recovery(world: World, _: Rules, __: Scope) -> Iterator[Step]:
    if world.recovery is not None and world.spare:
        yield "kill recovery", NOBODY, world._replace(recovery=None, spare=world.spare - 1)
