"""The database of a shared journal: commits whose answer is lost, and failovers to a standby. Steps as in `actions`.

Each host has a copy of the table as it last read it. After a failover it copies the table anew, and puts back what only
its old copy has; then the journal counts as incomplete until it has taken over what Redis knows.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.actions import BELIEVED, Step, changed, is_open, unsent
from tests.model.host_copies import read_by, words
from tests.model.world import NOBODY, Rules, Scope, World

_KNOWN = {"sending": "intent", "unknown": "intent", "held": "intent", "done": "done"}


def with_words(world: World, said: tuple[str, ...]) -> World:
    """The world in which the journal says this of the attempts, and nothing of later ones."""
    padded = said + ("",) * (len(world.attempts) - len(said))
    attempts = tuple(a._replace(journal=word) for a, word in zip(world.attempts, padded, strict=True))
    return world._replace(attempts=attempts)


# --- commits ----------------------------------------------------------------------------------------------------------


def unconfirmed(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """The answer to an intent's commit is lost, or the database is away: nothing is sent, whether the row is there or not."""
    if "lost answers" not in scope.kinds:
        return
    for number, attempt in enumerate(world.attempts):
        if attempt.step == "claimed" and not (rules.journal_epoch and attempt.epoch != world.epoch):
            step = "unsent" if rules.confirmed else "ready"
            yield "intent unconfirmed", number, changed(world, number, step=step, journal="intent", unsure=True)
            yield "intent lost", number, changed(world, number, step="unsent")
        elif attempt.step == "ready":  # between the intent and the compare-and-set the journal is read
            yield "journal away", number, changed(world, number, step="unsent")


def settle_unsent(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    """The call waits, if the attempt still holds the claim."""
    ledger = world.ledger
    for number, attempt in enumerate(world.attempts):
        if attempt.step == "unsent" and not (rules.run and ledger.run != world.run):
            mine = ledger.owner == number and ledger.state in ("claimed", "unknown")
            after = changed(world, number, step="gone")
            yield "settle unsent", number, after._replace(ledger=unsent(ledger)) if mine else after


# --- failovers --------------------------------------------------------------------------------------------------------


def fail_over(world: World, _: Rules, scope: Scope) -> Iterator[Step]:
    """A synchronous standby has every record that was confirmed; of the others it may have none."""
    if not world.losses:
        return
    if "standby" in scope.kinds and any(a.unsure and a.journal for a in world.attempts):
        attempts = tuple(a._replace(journal="", unsure=False) if a.unsure else a for a in world.attempts)
        yield "fail over", NOBODY, world._replace(attempts=attempts, losses=world.losses - 1)
    if world.standby is not None:
        epoch, before, said, other = world.standby
        after = world._replace(epoch=epoch, before=before, other=other, newest=max(world.newest, world.epoch))
        after = after._replace(standby=None, stale=(1 << scope.hosts) - 1, losses=world.losses - 1)
        yield "fail over to a lagging standby", NOBODY, with_words(after, said)


def copy_anew(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """A host finds another incarnation of the database, and puts back what only its copy has."""
    for host in range(scope.hosts):
        if world.stale >> host & 1 and not world.gone >> host & 1:
            seen = world.copied[host] if world.copied else ()
            padded = seen + ("",) * (len(world.attempts) - len(seen))
            pairs = zip(words(world), padded, strict=True)
            said = tuple(max(pair, key=BELIEVED.__getitem__) for pair in pairs) if rules.put_back else words(world)
            after = world._replace(stale=world.stale & ~(1 << host), incomplete=world.incomplete or rules.take_over)
            yield "copy anew", host, read_by(with_words(after, said), host, scope)


def take_over(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """Before the next effect the journal takes over what Redis knows, if Redis has lost nothing itself."""
    if world.incomplete and is_open(world._replace(reading=None, incomplete=False), rules):
        yield "take over", NOBODY, taken_over(world)


def taken_over(world: World) -> World:
    """The world in which the journal knows what Redis knows."""
    ledger = world.ledger
    after = world._replace(incomplete=False, other=max(world.other, ledger.fence))
    said = _KNOWN.get(ledger.state, "")
    if not said:
        return after
    known = max(world.attempts[ledger.owner].journal, said, key=BELIEVED.__getitem__)
    return changed(after, ledger.owner, journal=known)
