"""The budgets of calls: the tokens of an attempt are counted while it runs, so that they count however it ends."""

from __future__ import annotations

from state.ledger.stores import Stores
from state.model import CallLimits, Claim
from state.redis.keys import Keys
from state.redis.script import Script

_spend = Script("spend")


class Budgets(Stores):
    """The tokens that attempts spend of the budgets of their calls."""

    def spend(self, claim: Claim, task: str, limits: CallLimits, tokens: int) -> list[str]:
        """Count the tokens of an attempt; what was counted of them before is not counted again.

        Args:
            claim: The attempt; one whose claim is lost has spent its tokens all the same.
            task: The Celery name of its task.
            limits: What its task's policy says, with at least one budget.
            tokens: What the attempt has spent so far.

        Returns:
            The rule of each budget that these tokens used up.

        Raises:
            RedisAway: Redis does not answer; the tokens may be counted or not. Call this again.

        """
        answer = _spend(
            self.redis,
            {**Keys(claim.agent).of(claim.key), "budgets": limits.budgets},
            key=claim.key,
            fence=claim.fence,
            task=task,
            tokens=tokens,
            policy=limits.script_arguments()["policy"],
        )
        return [str(rule) for rule in answer[1:]]
