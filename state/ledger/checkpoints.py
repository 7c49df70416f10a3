"""The values that attempts kept for later ones: the facts of an agent, and the checkpoints of a key."""

from __future__ import annotations

from typing import Any

from state.agents import facts
from state.journal import events as evidence
from state.journal.projection import point_name, project
from state.ledger.stores import Stores
from state.model import Claim
from state.redis.client import retry_while_unavailable
from state.redis.keys import Keys
from state.redis.script import Script

_checkpoint = Script("checkpoint")


class Checkpoints(Stores):
    """The part of the ledger that later attempts read."""

    def fact(self, agent: str, path: tuple[str, ...], patience: float) -> Any:
        """Return the agent's fact at `path`, or None; wait `patience` seconds for a Redis that is away."""
        return retry_while_unavailable(lambda: facts.read(agent, path), patience)

    def checkpoint(self, claim: Claim, name: str, text: str, patience: float) -> str | None:
        """Return what an attempt of this key saved under a name.

        Args:
            claim: The attempt that asks.
            name: The name.
            text: A digest of the payload that it belongs to; what was saved before there was one is found too.
            patience: Seconds to wait for a Redis that is away.

        """
        return retry_while_unavailable(lambda: self._checkpoint(claim, name, text), patience)

    def save_checkpoint(self, claim: Claim, name: str, value: str, text: str, patience: float) -> bool:
        """Save a value for every later attempt of the key: on the disk first, then in Redis.

        Args:
            claim: The attempt that saves it.
            name: The name.
            value: The value.
            text: A digest of the payload that it belongs to; empty before there is one.
            patience: Seconds to wait for a Redis that is away.

        Returns:
            False if the claim is lost.

        Raises:
            JournalUnavailable: It could not be written.

        """
        if claim.epoch:
            evidence.point(self.journal, claim, name, value, text)
        return retry_while_unavailable(lambda: self._save_checkpoint(claim, name, value, text), patience)

    def _checkpoint(self, claim: Claim, name: str, text: str = "") -> str | None:
        names = list(dict.fromkeys([point_name(name, text), name]))
        found = self.redis.hmget(Keys(claim.agent).key(claim.key), [f"point:{one}" for one in names])
        value = next((one for one in found if one is not None), None)
        if value is None and claim.payload:  # an earlier attempt was here, and may have died before Redis knew
            points = project(self.journal.files(), key=claim.key).points.get((claim.agent, claim.key), {})
            value = next((points[one] for one in names if one in points), None)
        return None if value is None else str(value)

    def _save_checkpoint(self, claim: Claim, name: str, value: str, text: str = "") -> bool:
        answer = _checkpoint(
            self.redis,
            Keys(claim.agent).of(claim.key),
            owner=claim.owner,
            fence=claim.fence,
            name=point_name(name, text),
            value=value,
        )
        return bool(answer[0] == "kept")
