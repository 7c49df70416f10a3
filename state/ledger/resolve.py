"""A person's decisions about keys in doubt, and about calls that ended without a result."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from typing import Any, Literal

from state import hints
from state.decision import refusal_text
from state.errors import JournalUnavailable
from state.formatting import iso
from state.journal import events
from state.ledger import owner
from state.ledger.stores import Stores
from state.model import Call, stored_result
from state.redis.keys import Keys
from state.redis.script import Script

How = Literal["applied", "not-applied", "cancel", "approve"]

#: The states in which a key can be resolved, by resolution.
_FROM: dict[How, tuple[str, ...]] = {
    "applied": ("unknown", "held", "cancelled"),
    "not-applied": ("unknown", "held", "cancelled"),
    "cancel": ("unknown", "held", "queued", "waiting"),
    "approve": ("held",),
}

_resolve = Script("resolve")
_replay = Script("replay")


class NotResolved(Exception):
    """Raised when a key cannot be resolved that way; says why and what to do instead."""


@dataclass(frozen=True)
class Resolution:
    """A person's decision about a key, and the reason. `result` is JSON text: the answer when the key is asked for again."""

    how: How
    by: str
    why: str
    result: str = "null"
    force: bool = False  #: although the process that sends it may be alive


class Decisions(Stores):
    """A person's decisions about keys and calls, and the lists of those that need one."""

    def resolve(self, agent: str, key: str, word: Resolution) -> str:
        """End a key's doubt; return its state. Raises NotResolved, or JournalUnavailable.

        Redis comes first: what it does not take must not be in the journal. A resolution that the journal did not
        get can be repeated; until then a rebuild finds the key in doubt, as before.
        """
        n = Keys(agent)
        kept = self.redis.hgetall(n.key(key))
        if not kept:
            raise NotResolved(f"{key}: no such key; see: {hints.gatehouse('held')}")
        call, fence = self._call(agent, key, kept), int(kept.get("fence", 0))
        record = {"how": word.how, "by": word.by, "why": word.why}
        if kept.get("unwritten") == word.how:
            return self._journal(call, fence, record, kept["state"])
        _check(key, kept, word)
        self.journal.append("probe", {}, sync=True)
        answer = _resolve(
            self.redis,
            n.of(key, call.id),
            key=key,
            how=word.how,
            by=word.by,
            reason=word.why,
            result=stored_result(word.result),
            seen_state=kept["state"],
            seen_fence=kept.get("fence", ""),
        )
        if answer[0] == "kept":
            raise NotResolved(f"{key} became {answer[1]} in this moment; look again: {hints.gatehouse('explain', key)}")
        return self._journal(call, fence, record, str(answer[1]))

    def _journal(self, call: Call, fence: int, record: dict[str, str], state: str) -> str:
        """Write a resolution that Redis took into the journal; until then it may be repeated."""
        try:
            events.resolved(self.journal, call, fence, record)
        except JournalUnavailable as error:
            raise NotResolved(
                f"{call.key} is {state} in Redis, but the journal does not know it: say the same again later: {error}"
            ) from error
        self.redis.hdel(Keys(call.agent).key(call.key), "unwritten")
        return state

    def held(self, agent: str) -> list[dict[str, Any]]:
        """Return every key of the agent that waits for a person or for a look-up, oldest first."""
        n = Keys(agent)
        entries = sorted(map(json.loads, self.redis.hvals(n.held)), key=lambda entry: float(entry["since"]))
        payloads = [self.redis.hget(n.key(entry["key"]), "payload") for entry in entries]
        return [
            {name: entry[name] for name in ("key", "state", "why")}
            | {"since": iso(entry["since"]), "payload": json.loads(payload) if payload else None, "agent": agent}
            for entry, payload in zip(entries, payloads, strict=True)
        ]

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

    def replay(self, agent: str, call: str, by: str, effects: Container[str]) -> bool:
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
        answer = _replay(self.redis, n.of(kept["key"], call), call=call, by=by)
        if answer[0] == "kept":
            raise NotResolved(
                f"call {call} is {answer[1]}; only a call that was rejected can be replayed; "
                f"see: {hints.gatehouse('explain', call)}"
            )
        return True

    def _call(self, agent: str, key: str, kept: dict[str, str]) -> Call:
        """Return the call to which a key belongs, as far as it is known: none if the key was restored from a state file."""
        name = kept.get("call", "")
        asked = self.redis.hgetall(Keys(agent).call(name)) | {"key": key}
        return Call.stored(agent, name, asked | {field: kept.get(field, "") for field in ("task", "fingerprint")})


def _check(key: str, kept: dict[str, str], word: Resolution) -> None:
    state = kept["state"]
    if state not in _FROM[word.how]:
        able = ", ".join(_FROM[word.how])
        raise NotResolved(
            f"{key} is {state}; this resolution is for keys that are {able}; see: {hints.gatehouse('explain', key)}"
        )
    if word.how == "approve" and "payload" in kept:
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
