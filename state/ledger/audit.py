"""The decisions of persons in both stores: Redis has each with the change itself, the journal has it a moment later."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import structlog
from redis.client import Pipeline

from state.agents import audit
from state.agents.audit import Said
from state.errors import JournalUnavailable
from state.journal import events
from state.ledger import owner
from state.ledger.stores import Stores
from state.model import Call, Proposal
from state.redis.client import now_ms
from state.redis.keys import Keys

#: Ms. A decision that is this old and not in the journal was left behind by a process that is gone, perhaps on another machine.
LEFT_BEHIND_MS = 10_000

log = structlog.get_logger("gatehouse.decisions")


class Audit(Stores):
    """The list of decisions, and those among them that the journal does not have yet."""

    def note(self, agent: str, said: Said, before: str = "", after: str = "") -> None:
        """Note a decision that changed something outside Redis, or that several calls carried out."""
        with self.redis.pipeline(transaction=True) as pipe:
            audit.noted(pipe, agent, by_this_process(said), now_ms(self.redis), before, after)
            pipe.execute()
        self.write_decisions(agent, said.id)

    def write_decisions(self, agent: str, own: str = "") -> bool:
        """Write the decisions into the journal that it does not have: this process's `own`, and those that were left behind.

        Returns:
            False if the journal cannot be written. They stay noted, and the next call of this writes them.

        """
        for name, text in self.redis.hgetall(Keys(agent).unwritten).items():
            if name != own and not self.takes_over(agent, name):
                continue
            try:
                self.write_decision(agent, json.loads(text))
            except JournalUnavailable as error:
                log.warning("decision not in the journal", agent=agent, error=str(error), hint="it is written later")
                return False
        return True

    def takes_over(self, agent: str, name: str) -> bool:
        """Take a decision over that nobody is writing into the journal any more; False if another process writes it."""
        unwritten, now = Keys(agent).unwritten, now_ms(self.redis)

        def take(pipe: Pipeline) -> bool:
            text = pipe.hget(unwritten, name)
            entry = json.loads(text) if text else {}
            if not entry or not _is_left_behind(entry, now):
                pipe.unwatch()
                return False
            pipe.multi()
            pipe.hset(unwritten, name, json.dumps(entry | {"process": owner.new(), "at_work": now}, ensure_ascii=False))
            return True

        return bool(self.redis.transaction(take, unwritten, value_from_callable=True))

    def write_decision(self, agent: str, entry: dict[str, Any]) -> None:
        """Write one decision into the journal. Raises JournalUnavailable; then another call of this may write it."""
        n, key = Keys(agent), entry["subject"]
        try:
            if "how" in entry:
                events.resolved(self.journal, self._call(agent, entry), entry, self._written(agent, entry))
            else:
                events.decision(self.journal, agent, entry)
        except JournalUnavailable:
            self.redis.hset(n.unwritten, entry["id"], json.dumps(entry | {"process": ""}, ensure_ascii=False))
            raise
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hdel(n.unwritten, entry["id"])
            if "how" in entry:
                pipe.hdel(n.key(key), "unwritten")
            pipe.execute()

    def _written(self, agent: str, entry: dict[str, Any]) -> Proposal | None:
        """Return the text that a person wrote with a decision; None if there is none, or another one took its place."""
        if entry["how"] != "revise":
            return None
        names = ("proposal", "proposal_type", "revision")
        text, kind, revision = self.redis.hmget(Keys(agent).key(entry["subject"]), *names)
        return Proposal(text, kind or "", int(revision)) if revision == str(entry["revision"]) else None

    def _call(self, agent: str, entry: dict[str, Any]) -> Call:
        """Return the call about whose key was decided, as far as it is known: none if the key was restored from a state file."""
        n, key, call = Keys(agent), entry["subject"], entry.get("call", "")
        of_key, fields, empty = n.key(key), ("call", "task", "fingerprint"), {"task": "", "fingerprint": ""}
        kept = {name: value for name, value in zip(fields, self.redis.hmget(of_key, *fields), strict=True) if value}
        asked = empty | self.redis.hgetall(n.call(call)) | {"key": key}
        return Call.stored(agent, call, asked | (kept if kept.pop("call", "") == call else {}))


def by_this_process(said: Said) -> Said:
    """Return a decision with the name of this process, which writes it into the journal."""
    return replace(said, process=owner.new())


def _is_left_behind(entry: dict[str, Any], now: int) -> bool:
    since, process = int(entry.get("at_work") or entry["at"]), entry.get("process")
    return not process or since + LEFT_BEHIND_MS < now or owner.is_dead(process)
