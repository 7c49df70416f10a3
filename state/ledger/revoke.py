"""Revokes: a person takes calls back by their ids, whichever agents they are for, and whether or not a worker runs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from state.agents.audit import Said
from state.forbidden import forbid
from state.journal import events
from state.ledger.audit import Audit, by_this_process
from state.redis.client import hash_fields
from state.redis.keys import Keys
from state.redis.script import Script

#: The state of an id that no agent knows: if its message arrives, it does not run.
UNKNOWN = "unknown id"

_cancel = Script("cancel")


@dataclass(frozen=True)
class Revoked:
    """The outcome for one id."""

    call: str
    state: str  #: where the call stands now, or UNKNOWN
    agent: str = ""
    key: str = ""
    is_new: bool = False  #: this revoke ended the call
    has_key: bool = False  #: the key is cancelled with it; otherwise it is another call's


class Revokes(Audit):
    """Calls that a person takes back."""

    def revoke(
        self,
        *,
        agents: Sequence[str],
        calls: Iterable[str],
        by: str,
        keep_ms: int,
        safe: Container[str] = (),
    ) -> list[Revoked]:
        """Cancel every call of these that has not begun; return the outcome for each.

        An id that no agent knows is remembered for `keep_ms`, and in the journal: a message that carries it does not run.
        `safe` are the tasks without an effect, of which no journal is kept.

        Raises:
            JournalUnavailable: Nothing was cancelled, or the call at which it happened must be revoked once more.

        """
        return [self._revoke(agents, call, by, keep_ms, safe) for call in dict.fromkeys(calls)]

    def cancel(self, agent: str, call: str, by: str, safe: Container[str] = ()) -> Revoked:
        """End one call of an agent that has not begun. The journal knows it when this returns, or JournalUnavailable is raised."""
        n = Keys(agent)
        key, task = self.redis.hmget(n.call(call), "key", "task")
        if key is None:
            return Revoked(call, UNKNOWN)
        is_written = task not in safe
        if is_written:
            self.journal.append("probe", {}, sync=True)  # a revoke that cannot be written is not accepted
        said = by_this_process(Said("revoke", by, "celery", subject=call))
        match _cancel(self.redis, n.of(key, call), call=call, decision=said.as_json()):
            case ["cancelled" | "unwritten" as how, what]:
                if is_written:
                    events.cancelled(self.journal, agent, key, call, by, alone=what == "call")
                self.redis.hdel(n.call(call), "unwritten")
                self.write_decisions(agent, said.id)
                return Revoked(call, "cancelled", agent, key, is_new=how == "cancelled", has_key=what == "key")
            case [_, state]:
                return Revoked(call, state, agent, key)
        raise AssertionError("cancel.lua gave no answer")

    def _revoke(self, agents: Sequence[str], call: str, by: str, keep_ms: int, safe: Container[str]) -> Revoked:
        while True:
            agent, state = self._find(agents, call)
            if agent:
                return self.cancel(agent, call, by, safe)
            if state:
                return Revoked(call, state)
            events.forbidden(self.journal, agents, call, by)
            forbidden = forbid(self.redis, agents, call, by, keep_ms)
            if len(forbidden) == len(agents):
                return Revoked(call, UNKNOWN, is_new=True)
            for name in forbidden:  # the call was registered in this moment: look again
                self.redis.delete(name)

    def _find(self, agents: Sequence[str], call: str) -> tuple[str, str]:
        """Return the agent that has the call, or "", and the state of an id without a key, such as one that was revoked before."""
        found = hash_fields(self.redis, [Keys(agent).call(call) for agent in agents], "key", "state")
        owner = next((agent for agent, (key, _) in zip(agents, found, strict=True) if key is not None), "")
        return owner, next((state for _, state in found if state), "")
