"""The copies of a shared journal: one of each host, as it last read the table, and that of a standby which lags."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.world import Journal, Scope, World


def words(world: World) -> tuple[str, ...]:
    """What the journal says of each attempt."""
    return tuple(a.journal for a in world.attempts)


def read_by(world: World, host: int, scope: Scope) -> World:
    """The world after a host brought its copy up to date."""
    if "lagging standby" not in scope.kinds:
        return world
    seen = list(world.copied or ((),) * scope.hosts)
    seen[host] = words(world)
    return world._replace(copied=tuple(seen))


def may_begin(world: World, host: int) -> bool:
    """Whether a host has copied the table since the last failover, and the journal is complete."""
    return not (world.stale >> host & 1 or world.incomplete)


def is_readable(world: World, scope: Scope) -> bool:
    """Whether some host that lives has copied the table since the last failover, and so may compare or recover."""
    living = ((1 << scope.hosts) - 1) & ~world.gone
    return bool(living & ~world.stale)


def snapshots(before: World, after: World, scope: Scope) -> Iterator[World]:
    """The world after a step, and once more with a standby that has the journal from before it and lags from now on."""
    yield after
    writes = "intent" in words(after) and "intent" not in words(
        before
    )  # what is written later matters no more than that
    if "lagging standby" in scope.kinds and after.losses and after.standby is None and writes:
        yield after._replace(standby=Journal(before.epoch, before.before, words(before), before.other))
