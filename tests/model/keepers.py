"""Those who clean up behind the workers: the sweeper and the look-ups. Steps as in `actions`."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.actions import BELIEVED, Step, changed, draining, ended, freed, is_open, noted, unsent
from tests.model.world import Ledger, LookUp, Reclaim, Rules, Scope, World

# --- the sweeper ------------------------------------------------------------------------------------------------------


def look_at_claim(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """A claim's lease may have ended at any time; what the journal says of it is read first."""
    seen = _claim_now(world, rules)
    if scope.late and seen and world.reclaim != seen:
        yield "look at claim", seen.owner, world._replace(reclaim=seen)


def reclaim(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    ledger, seen = world.ledger, world.reclaim if scope.late else _claim_now(world, rules)
    if seen is None:
        return
    after = world._replace(reclaim=None)
    if ledger.owner != seen.owner or ledger.state not in ("claimed", "sending"):
        yield "reclaim in vain", seen.owner, after
    elif ledger.state == "sending" and seen.journal in ("done", "failed", "absent"):
        yield "reclaim", seen.owner, ended(after, seen.journal)
    elif rules.run and ledger.run != world.run:
        yield "reclaim in vain", seen.owner, after
    elif ledger.state == "claimed":
        yield "reclaim", seen.owner, after._replace(ledger=freed(ledger))
    else:
        yield "reclaim", seen.owner, after._replace(ledger=ledger._replace(state="unknown", gone=False))


def _claim_now(world: World, rules: Rules) -> Reclaim | None:
    owner = world.ledger.owner
    return Reclaim(owner, said_of(world, owner, rules)) if world.ledger.state in ("claimed", "sending") else None


def said_of(world: World, owner: int, rules: Rules) -> str:
    """The journal's last word of the newest attempt. Its fence alone does not name it: it may be given again after a loss."""
    attempt = world.attempts[owner]
    if any((a.epoch, a.fence) > (attempt.epoch, attempt.fence) for a in world.attempts if a.journal):
        return "intent"
    if rules.named_by_owner:
        return attempt.journal
    same = [a.journal for a in world.attempts if a.fence == attempt.fence]
    return max(same, key=BELIEVED.__getitem__)


# --- what is unknown --------------------------------------------------------------------------------------------------


def prove_death(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """All processes are on one machine; of several hosts `hosts` tells."""
    ledger = world.ledger
    if scope.hosts > 1 or not is_in_doubt(world, rules):
        return
    if not ledger.gone and world.attempts[ledger.owner].step == "gone":
        proven = world._replace(ledger=ledger._replace(gone=True))
        yield "prove death", ledger.owner, proven if ledger.drain else draining(proven)
    if not rules.death_proof and not ledger.drain:
        yield "begin drain", ledger.owner, draining(world)


def end_drain(world: World, _: Rules, __: Scope) -> Iterator[Step]:
    if world.ledger.drain == "running" and not any(a.wire == "draining" for a in world.attempts):
        yield "end drain", world.ledger.owner, world._replace(ledger=world.ledger._replace(drain="over"))


def is_in_doubt(world: World, rules: Rules) -> bool:
    """Whether a look-up may begin: like any call, it has to be admitted."""
    return world.ledger.state == "unknown" and is_open(world._replace(reading=None), rules)


def is_proof(ledger: Ledger, rules: Rules) -> bool:
    """Whether an absence counts now."""
    return (ledger.gone or not rules.death_proof) and (ledger.drain == "over" or not rules.drain)


def ask(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """Found is found, whenever it is written down. What an absence proves was true when it was asked for."""
    ledger = world.ledger
    if not is_in_doubt(world, rules):
        return
    if any(a.wire == "applied" for a in world.attempts):
        journal = noted(world.attempts[ledger.owner], "done") if rules.journal else ""
        done = ledger._replace(state="done", gone=False, drain="")
        yield "ask: found", ledger.owner, changed(world, ledger.owner, done, journal=journal)
        return
    look = LookUp(ledger.owner, is_proof(ledger, rules))
    if scope.late and world.look != look and (look.proof or not rules.judged_when_asked):
        yield "ask: absent", ledger.owner, world._replace(look=look)


def write_absence(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    """An absence that is proof is written down before the key is freed; any other is forgotten."""
    look = world.look
    if look is None or look.written:
        return
    if look.proof or (not rules.judged_when_asked and is_proof(world.ledger, rules)):
        journal = noted(world.attempts[look.owner], "absent") if rules.journal else ""
        after = changed(world, look.owner, journal=journal)
        yield "write absence", look.owner, after._replace(look=look._replace(written=True))
    else:
        yield "forget absence", look.owner, world._replace(look=None)


def absent(ledger: Ledger, rules: Rules) -> Ledger:
    """The key's record once it is proven by look-ups that nothing happened: the text stays, it may have been seen."""
    return freed(ledger) if rules.keeps_doubted else unsent(ledger)


def judge(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    look, ledger = world.look, world.ledger
    if look is None or not look.written:
        return
    after = world._replace(look=None)
    if ledger.state != "unknown" or (rules.same_attempt and ledger.owner != look.owner):
        yield "judge in vain", look.owner, after
    else:
        yield "judge: absent", look.owner, after._replace(ledger=absent(ledger, rules))


def ask_at_once(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """A look-up from question to judgement, perhaps while another one is still under way."""
    ledger = world.ledger
    is_absent = is_in_doubt(world, rules) and not any(a.wire == "applied" for a in world.attempts)
    if is_absent and is_proof(ledger, rules) and (world.look is not None or not scope.late):
        journal = noted(world.attempts[ledger.owner], "absent") if rules.journal else ""
        yield "ask at once: absent", ledger.owner, changed(world, ledger.owner, absent(ledger, rules), journal=journal)


def hold(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    """Too many look-ups without proof: a person is asked."""
    if is_in_doubt(world, rules):
        yield "hold", world.ledger.owner, world._replace(ledger=world.ledger._replace(state="held"))


def retry_blindly(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    if rules.blind_retry and world.ledger.state == "unknown":
        yield "retry blindly", world.ledger.owner, world._replace(ledger=freed(world.ledger))
