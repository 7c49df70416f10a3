"""The budgets that stop calls now: those on the list of the used-up ones that their tasks still have."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.policies.spec import registered
from state.agents import used_up
from state.agents.used_up import UsedUp


def stopping(agents: Sequence[str]) -> dict[str, list[UsedUp]]:
    """Return the budgets of each agent that are used up, without those that a person raised or removed since.

    Raises:
        StoreError: Redis does not answer.

    """
    return {agent: [each for each in found if _holds(each)] for agent, found in used_up.read(agents).items()}


def _holds(each: UsedUp) -> bool:
    spec = registered().get(each.task)
    return spec is not None and any(budget.text == each.rule for budget in spec.budgets)
