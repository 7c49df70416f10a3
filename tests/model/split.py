"""A failover of Redis during which the old primary is still written to. Steps as in `actions`.

Some workers keep their connections to it: they claim, begin effects and settle there, until it is made a replica and
what was written there is dropped. Which of the two a worker asks may change from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.model import actions, keepers
from tests.model.actions import Step
from tests.model.world import NOBODY, Rules, Scope, World

Action = Callable[[World, Rules, Scope], Iterator[Step]]


def fail_over(world: World, _: Rules, scope: Scope) -> Iterator[Step]:
    """The sentinels name a replica, which has all that the primary has or lacks its newest writes."""
    if world.losses and "split" in scope.kinds:
        replicas = {world.ledger} | ({world.copy} if world.copy else set())
        for replica in sorted(replicas, key=repr):
            after = world._replace(ledger=replica, run=world.run + 1, losses=world.losses - 1, copy=None)
            yield "name a replica", NOBODY, after._replace(old=world.ledger, old_run=world.run)


def heal(world: World, _: Rules, __: Scope) -> Iterator[Step]:
    """The old primary becomes a replica of the new one."""
    if world.old is not None:
        yield "heal", NOBODY, world._replace(old=None, old_run=0)


def _there(action: Action) -> Action:
    def stepping(world: World, rules: Rules, scope: Scope) -> Iterator[Step]:
        if world.old is None:
            return
        there = world._replace(ledger=world.old, run=world.old_run, reading=None)
        for what, number, after in action(there, rules, scope):
            back = after._replace(old=after.ledger, ledger=world.ledger, run=world.run, reading=world.reading)
            yield f"{what} (old)", number, back

    return stepping


#: What may happen on the old primary.
THERE: tuple[Action, ...] = tuple(
    _there(action)
    for action in (
        actions.claim, actions.cross, actions.settle, keepers.reclaim, keepers.prove_death, keepers.end_drain, keepers.ask,
        keepers.ask_at_once,
    )
)  # fmt: skip
