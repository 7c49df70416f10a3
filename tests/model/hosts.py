"""Several hosts: each sees the locks of its own processes only, and a person speaks for one that is gone. Steps as in `actions`.

A host that is cut off needs no step of its own: its processes pause, and what they sent may still arrive. Each host
measures a drain by its own boot clock, from the beginning of a look-up that could know of the death.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.actions import Step, draining, freed
from tests.model.keepers import is_in_doubt
from tests.model.world import Ledger, RemoteLook, Rules, Scope, World


def is_gone(world: World, host: int) -> bool:
    """Whether a host is gone, so that nobody can see the locks of its processes."""
    return bool(world.gone >> host & 1)


def of_owner(world: World) -> int:
    """The host of the attempt that the key's record names."""
    return world.attempts[world.ledger.owner].host


def look_at_home(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """A look-up on the owner's own host begins after its lock was found free, and the drain with it."""
    ledger = world.ledger
    if scope.hosts == 1 or not is_in_doubt(world, rules) or ledger.drain or is_gone(world, of_owner(world)):
        return
    if ledger.gone or world.attempts[ledger.owner].step == "gone":
        yield "look at home", ledger.owner, draining(world._replace(ledger=ledger._replace(gone=True, told=False)))


def report_death(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """The sweeper of the owner's host finds its lock free, and says so in Redis."""
    ledger = world.ledger
    if scope.hosts == 1 or ledger.state != "unknown" or ledger.gone:
        return
    is_dead = world.attempts[ledger.owner].step == "gone" and not is_gone(world, of_owner(world))
    if is_dead or not rules.own_dead:
        yield "report death", ledger.owner, world._replace(ledger=_told(ledger))


def _told(ledger: Ledger) -> Ledger:
    return ledger._replace(state="unknown", gone=True, told=True, drain="")


def begin_remote_look(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """Another host begins a look-up, of which only the next step says what it found."""
    ledger = world.ledger
    if scope.hosts == 1 or not is_in_doubt(world, rules) or ledger.drain or len(world.remote) == scope.looks:
        return
    flying = tuple(number for number, a in enumerate(world.attempts) if a.wire == "flying")
    look = RemoteLook(ledger.owner, ledger.gone, flying)
    yield "begin remote look", ledger.owner, world._replace(remote=tuple(sorted({*world.remote, look})))


def end_remote_look(world: World, rules: Rules, _: Scope) -> Iterator[Step]:
    """It found nothing. If it began after the death was reported, the drain began when it did."""
    ledger = world.ledger
    for look in world.remote:
        after = world._replace(remote=tuple(one for one in world.remote if one != look))
        counts = look.knew_death or rules.knows == "nothing"
        if ledger.state == "unknown" and ledger.owner == look.owner and ledger.gone and not ledger.drain:
            if rules.knows == "one look":
                counts = not ledger.told
                after = after._replace(ledger=ledger._replace(told=False))
            if counts:
                after = _draining_since(after, look)
        yield "end remote look", look.owner, after


def _draining_since(world: World, look: RemoteLook) -> World:
    """The drain covers what was on its way when this look-up began."""
    attempts = tuple(
        a._replace(wire="draining") if a.wire == "flying" and number in look.flying else a
        for number, a in enumerate(world.attempts)
    )
    return world._replace(attempts=attempts, ledger=world.ledger._replace(drain="running"))


def hold_unproven(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """No look-up can prove anything while the owner's host is gone, so a person is asked after twenty."""
    if scope.hosts > 1 and is_in_doubt(world, rules) and is_gone(world, of_owner(world)) and not world.ledger.gone:
        yield "hold", world.ledger.owner, world._replace(ledger=world.ledger._replace(state="held"))


# --- faults and persons -----------------------------------------------------------------------------------------------


def lose_host(world: World, _: Rules, scope: Scope) -> Iterator[Step]:
    """A host burns down with all its processes; what they sent may still arrive."""
    if world.fates:
        for host in range(scope.hosts):
            if any(a.host == host for a in world.attempts) and not is_gone(world, host):
                attempts = tuple(
                    a._replace(step="gone", answer="", wire="lost" if a.wire == "refused" else a.wire)
                    if a.host == host
                    else a
                    for a in world.attempts
                )
                gone = world.gone | 1 << host
                yield "lose host", host, world._replace(attempts=attempts, gone=gone, fates=world.fates - 1)


def come_back(world: World, _: Rules, scope: Scope) -> Iterator[Step]:
    """The host is started again with its STATE_DIR: it sees that its processes died."""
    for host in range(scope.hosts):
        if is_gone(world, host):
            yield "come back", host, world._replace(gone=world.gone & ~(1 << host))


def say_gone(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
    """`gate host-gone`: a person says that the owner's host is gone, and is right, or is not."""
    ledger = world.ledger
    if scope.hosts == 1 or ledger.state not in ("claimed", "sending", "unknown", "held") or ledger.gone:
        return
    host = of_owner(world)
    if not (is_gone(world, host) or scope.false_word):
        return
    attempts = tuple(a._replace(late=True) if a.host == host and rules.lease else a for a in world.attempts)
    after = world._replace(attempts=attempts)
    if ledger.state == "claimed":
        after = after._replace(ledger=freed(ledger))
    elif ledger.state == "sending":
        after = draining(after._replace(ledger=ledger._replace(state="unknown", gone=True, told=False)))
    else:
        after = after._replace(ledger=_told(ledger))
    yield "say gone", ledger.owner, after
