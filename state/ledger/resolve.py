"""A person's decisions about keys in doubt, and about calls that ended without a result."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from state import hints
from state.agents.audit import Said
from state.decision import refusal_text
from state.errors import JournalUnavailable
from state.formatting import iso
from state.journal import events
from state.key_version import version_of
from state.ledger import owner, revision
from state.ledger.audit import Audit, by_this_process
from state.ledger.waiting import WaitingList
from state.model import Call, stored_result
from state.redis.keys import Keys
from state.redis.script import Script

How = Literal["applied", "not-applied", "cancel", "approve", "revise"]

#: The states in which a key can be resolved, by resolution.
_FROM: dict[How, tuple[str, ...]] = {
    "applied": ("unknown", "held", "cancelled"),
    "not-applied": ("unknown", "held", "cancelled"),
    "cancel": ("unknown", "held", "queued", "waiting"),
    "approve": ("held",),
    "revise": ("held", "rejected"),
}

#: Events of a key's history among which the newest decision is looked for.
NEWEST = 20

_resolve = Script("resolve")
_replay = Script("replay")


class NotResolved(Exception):
    """Raised when a key cannot be resolved that way; says why and what to do instead."""


class Stale(NotResolved):
    """Raised when the key is not any more what the person saw; says who decided what, and when. Nothing is changed."""


@dataclass(frozen=True)
class Resolution:
    """A person's decision about a key, and the reason. `result` is JSON text: the answer when the key is asked for again."""

    how: How
    by: str
    why: str
    result: str = "null"
    force: bool = False  #: although the process that sends it may be alive
    seen: str = ""  #: the version of the key that the person saw; "" is not compared
    payload: str = ""  #: JSON text to be sent instead of the one that waits or was refused; with "revise"
    door: str = "command"  #: where the decision came in
    what: str = ""  #: the word in the list of decisions, if it is not `how`

    def said(self, key: str) -> Said:
        """Return it as the list of decisions has it."""
        return Said(self.what or self.how, self.by, self.door, self.why, key)


class Decisions(WaitingList, Audit):
    """A person's decisions about keys and calls, and the lists of those that need one."""

    def resolve(self, agent: str, key: str, word: Resolution) -> str:
        """End a key's doubt; return its state. Raises NotResolved, Stale or JournalUnavailable.

        Redis comes first: what it does not take must not be in the journal. A resolution that the journal did not
        get can be repeated; until then a rebuild finds the key in doubt, as before.
        """
        n = Keys(agent)
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(n.key(key)).hvals(n.unwritten)
            kept, noted = pipe.execute()
        if not kept:
            raise NotResolved(f"{key}: no such key; see: {hints.gatehouse('held')}")
        if kept.get("unwritten") == word.how:
            return self._write_again(agent, key, kept, map(json.loads, noted), word)
        if word.seen and version_of(kept) != word.seen:
            raise self._stale(agent, key, kept["state"])
        _check(key, kept, word)
        self.journal.append("probe", {}, sync=True)
        decision = {"how": word.how, "fence": int(kept.get("fence", 0)), "call": kept.get("call", "")}
        decision |= revision.of_decision(kept, word.payload)
        answer = _resolve(
            self.redis,
            n.of(key, kept.get("call", "")),
            key=key,
            how=word.how,
            result=stored_result(word.result),
            payload=word.payload,
            revised=revision.event(kept, word.by, word.payload),
            seen_state=kept["state"],
            seen_fence=kept.get("fence", ""),
            seen=word.seen,
            decision=by_this_process(word.said(key)).as_json(**decision),
        )
        if answer[0] == "kept":
            raise self._stale(agent, key, str(answer[1]))
        return self._write_resolution(agent, json.loads(answer[2]))

    def _write_again(
        self, agent: str, key: str, kept: dict[str, str], noted: Iterable[dict[str, Any]], word: Resolution
    ) -> str:
        """Write a resolution into the journal that it did not get, unless another process is about to."""
        entry = next((each for each in noted if each["subject"] == key and each.get("how") == word.how), None)
        if entry is None:  # an older version left it behind
            said = {"how": word.how, "fence": int(kept.get("fence", 0)), "call": kept.get("call", "")}
            entry = json.loads(word.said(key).as_json(**said)) | {"after": kept["state"]}
        elif not self.takes_over(agent, entry["id"]):
            raise self._stale(agent, key, kept["state"])
        return self._write_resolution(agent, entry)

    def _write_resolution(self, agent: str, entry: dict[str, Any]) -> str:
        """Write a resolution that Redis took into the journal; until then it may be repeated."""
        try:
            self.write_decision(agent, entry)
        except JournalUnavailable as error:
            raise NotResolved(
                f"{entry['subject']} is {entry['after']} in Redis, but the journal does not know it: "
                f"say the same again later: {error}"
            ) from error
        return str(entry["after"])

    def _stale(self, agent: str, key: str, state: str) -> Stale:
        """Return who decided about the key before, and when; or that it changed by itself."""
        story = map(json.loads, reversed(self.redis.lrange(Keys(agent).history(key), -NEWEST, -1)))
        last = next((event for event in story if event["event"] == "resolved"), None)
        decided = f" ({last['by']} said {last['how']} at {iso(last['at'], 'seconds')}: {last['why']})" if last else ""
        return Stale(
            f"{key} is not any more as you saw it: it is {state} now{decided}; nothing was changed; "
            f"look again: {hints.gatehouse('explain', key)}"
        )

    def held(self, agent: str, start: int = 0, count: int | None = None) -> list[dict[str, Any]]:
        """Return the keys of the agent that wait for a person or for a look-up, oldest first; without `count` all of them."""
        told = ("key", "state", "why", "since", "payload", "agent", "kind", "version")
        found = self.all_waiting(agent) if count is None else self.waiting(agent, start, count)
        return [{name: getattr(each, name) for name in told} for each in found]

    def dead(self, agent: str) -> list[dict[str, Any]]:
        """Return the calls of the agent that ended without a result because their attempts failed, newest first."""
        n = Keys(agent)
        found = []
        for call, at in self.redis.zrange(n.dead, 0, -1, desc=True, withscores=True):
            kept = self.redis.hgetall(n.call(call))
            if kept.get("state") == "rejected":
                answer = json.loads(kept.get("answer") or "{}")
                which = {"call": call, "agent": agent, "task": kept["task"], "key": kept["key"]}
                found.append(which | {"at": iso(at), "error": refusal_text(answer) if answer else None})
        return found

    def replay(self, agent: str, call: str, said: Said, effects: Container[str]) -> bool:
        """Run a call again that ended without a result; False if this agent has no such call.

        `effects` are the tasks that change the world outside. Raises NotResolved for a call that is not over, or that has a
        result, and JournalUnavailable.
        """
        n = Keys(agent)
        kept = self.redis.hgetall(n.call(call))
        if "key" not in kept:
            return False
        if kept["state"] == "rejected" and kept["task"] in effects:
            events.registered(
                self.journal, Call.stored(agent, call, kept), {"again": "1", "digest": kept.get("digest", "")}
            )
        said = by_this_process(said)
        answer = _replay(self.redis, n.of(kept["key"], call), call=call, decision=said.as_json())
        if answer[0] == "kept":
            raise NotResolved(
                f"call {call} is {answer[1]}; only a call that was rejected can be replayed; "
                f"see: {hints.gatehouse('explain', call)}"
            )
        self.write_decisions(agent, said.id)
        return True


def _check(key: str, kept: dict[str, str], word: Resolution) -> None:
    state = kept["state"]
    if word.how == "revise" and (problem := revision.problem(key, kept)):
        raise NotResolved(problem)
    if state not in _FROM[word.how]:
        able = ", ".join(_FROM[word.how])
        raise NotResolved(
            f"{key} is {state}; this resolution is for keys that are {able}; see: {hints.gatehouse('explain', key)}"
        )
    if word.how == "approve" and "payload" in kept and "kind" not in kept:
        raise NotResolved(
            f"{key}: its effect began, so running it again may double it: look at the provider, then say "
            f"{hints.gatehouse('resolve', key, '--applied', '--why', '…')} (or --not-applied)"
        )
    in_flight = "payload" in kept and not _is_over(kept)
    if word.how == "not-applied" and in_flight and not word.force:
        raise NotResolved(
            f"{key}: the process that was sending it ({kept.get('owner')}) is not proven dead and may still send it; "
            f"stop it first, or say --force if it runs on a machine that is gone"
        )


def _is_over(kept: dict[str, str]) -> bool:
    """Return whether no process can send this any more: the attempt itself reported it, or its process is dead."""
    return kept.get("gone") == kept.get("fence") or owner.is_dead(kept.get("owner", ""))
