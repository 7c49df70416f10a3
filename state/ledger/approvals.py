"""The questions to a person: for which payload one is asked, when a question expires, and how far an agent may go."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from state import redis_format
from state.agents import autonomy
from state.agents.audit import Said
from state.agents.autonomy import Mode
from state.journal import events
from state.key_version import version_of
from state.ledger.audit import Audit, by_this_process
from state.model import Call, Claim, Proposal
from state.redis.client import hash_fields, now_ms
from state.redis.keys import Keys
from state.redis.script import Script

#: Requests that one sweep ends, of each agent.
BATCH_SIZE = 100

_expire = Script("expire")


@dataclass(frozen=True)
class Proposed:
    """A text about which a person may decide, and what it takes to check another one in its place."""

    proposal: Proposal
    task: str
    kwargs: dict[str, Any]  #: arguments of the call
    version: str  #: of the key, as it was read


class Approvals(Audit):
    """Effects about which a person decides first."""

    def ask(self, call: Call, claim: Claim, proposal: Proposal) -> None:
        """Write down for which payload a person is asked, on the disk when this returns; `settle` lets Redis know.

        Raises:
            JournalUnavailable: It could not be written; nothing was sent, and nobody is asked.

        """
        events.asked(self.journal, call, claim, proposal)

    def was_observed(self, agent: str, key: str) -> bool:
        """Return whether the newest call of a key only told what it would send, and the agent observes still."""
        [state, observed] = self.redis.hmget(Keys(agent).key(key), "state", "observed_ms")
        return state == "rejected" and observed is not None and autonomy.mode(agent) == "observe"

    def proposal(self, agent: str, key: str) -> Proposed | None:
        """Return the text about which a person may decide, if the key has one."""
        n = Keys(agent)
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(n.key(key))
            [kept] = pipe.execute()
        if "proposal" not in kept:
            return None
        kwargs = self.redis.hget(n.call(kept.get("call", "")), "kwargs")
        text = Proposal(kept["proposal"], kept.get("proposal_type", ""), int(kept["revision"]))
        return Proposed(text, kept["task"], json.loads(kwargs or "{}"), version_of(kept))

    def expire(self, agent: str) -> list[str]:
        """End the requests for an approval whose time is over, and return their keys. Nothing is sent by this."""
        n = Keys(agent)
        keys = self.redis.zrange(n.expiring, 0, now_ms(self.redis), byscore=True, offset=0, num=BATCH_SIZE)
        found = hash_fields(self.redis, [n.key(key) for key in keys], "call") if keys else []
        return [key for key, [call] in zip(keys, found, strict=True) if self._expire(agent, key, call or "")]

    def _expire(self, agent: str, key: str, call: str) -> bool:
        match _expire(self.redis, Keys(agent).of(key, call), key=key, call=call):
            case ["expired", fence, revision, why]:
                events.expired(self.journal, agent, key, call, int(fence), int(revision), str(why))
                return True
        return False

    def set_autonomy(self, agent: str, mode: Mode, said: Said) -> Mode:
        """Say how far an agent may go from now on, and return how far it could before.

        What is held stays held. The journal has it first: a Redis that loses its data gets it back.

        Raises:
            JournalUnavailable: Nothing was changed.
            NewerRedisFormat: A newer version of Gatehouse wrote what Redis holds.

        """
        said, before = by_this_process(said), autonomy.mode(agent)
        redis_format.raise_to(self.redis, redis_format.AUTONOMY)  # an older worker would send without a question
        events.autonomy(self.journal, agent, mode, said.by, said.why)
        autonomy.write(agent, mode, said, before)
        self.write_decisions(agent, said.id)
        return before
