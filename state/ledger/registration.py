"""The registration of calls, and the refusal of calls that do not fit their task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from state import forbidden, hints, options
from state.decision import ArgumentsDiffer, Unregistered
from state.errors import JournalUnavailable
from state.formatting import describe_difference
from state.journal import events
from state.ledger.stores import Stores
from state.ledger.sweep import GRACE_MS
from state.model import Call, ContentMismatch, Message
from state.redis.client import hash_fields
from state.redis.keys import Keys
from state.redis.script import Script

_register = Script("register")
_reject = Script("reject")
_withdraw = Script("withdraw")


class Registration(Stores):
    """Calls that are accepted or refused before a worker has them."""

    def agent_of(self, call: str, agents: Sequence[str]) -> str | None:
        """Return the first of these agents that has a call of this id, or None."""
        tasks = hash_fields(self.redis, [Keys(agent).call(call) for agent in agents], "task")
        # An id that was revoked before it was known has no task.
        return next((agent for agent, [task] in zip(agents, tasks, strict=True) if task is not None), None)

    def key_state(self, agent: str, key: str) -> str | None:
        """Return the state of a key, or None if it was never asked for."""
        state = self.redis.hget(Keys(agent).key(key), "state")
        return None if state is None else str(state)

    def is_forbidden(self, agent: str, call: str) -> bool:
        """Return whether this id was revoked before a call was registered under it."""
        return forbidden.is_forbidden(self.redis, agent, call)

    def register(
        self, call: Call, delay_ms: int = 0, expires_ms: int = 0, digest: str = "", message: Message | None = None
    ) -> bool:
        """Write the call down, to be sent now or after a delay, and to be refused once `expires_ms` have passed (0: never).

        Args:
            call: The call.
            delay_ms: ms until it is sent.
            expires_ms: ms until it is refused.
            digest: That of what the call was made from, if that says more than its arguments.
            message: What is sent in the same step if the call was not known; the broker must be on this server.

        Returns:
            False if this very call was known already.

        Raises:
            ContentMismatch: The id is known for another task, other arguments or another digest, or this call asks for
                options that the known one lacks.

        """
        answer = _register(
            self.redis,
            {**Keys(call.agent).of(call.key, call.id), "sent_to": [message.queue] if message else []},
            **call.script_arguments(),
            grace_ms=GRACE_MS,
            delay_ms=delay_ms,
            expires_ms=expires_ms,
            **options.of_registration(call.options, digest),
            has_effect=int(call.effect),
            message=message.text if message else "",
        )
        if answer[0] == "known":
            return self._check_known(call, digest, answer)
        if call.effect:
            now = int(answer[1])
            due, ends = delay_ms and now + delay_ms, expires_ms and now + expires_ms
            kept = {"at_ms": str(due or ""), "expires_ms": str(ends or ""), "digest": digest}
            self._journal_registered(call, kept)
        return True

    def _check_known(self, call: Call, digest: str, answer: list[Any]) -> Literal[False]:
        """Raise ContentMismatch unless the call that is known under this id is the same call."""
        asked = options.from_json(call.options)
        match answer:
            case ["known", "cancelled", *_] if forbidden.is_forbidden(self.redis, call.agent, call.id):
                return False
            case ["known", _, made_from, task, kwargs, _] if digest and made_from != digest:
                raise ContentMismatch(f"call {call.id} was made before, from something else", task, kwargs)
            case ["known", _, _, task, kwargs, _] if not digest and (task, kwargs) != (call.task, call.kwargs):
                raise _other_content(call, describe_difference(call, task, kwargs), task, kwargs)
            case ["known", _, _, task, kwargs, kept] if not digest and (
                more := asked.lacking_in(options.from_json(kept))
            ):
                raise _other_content(call, f"its {more}", task, kwargs, options_only=True)
            case ["known", "queued" | "waiting", *_] if call.effect:
                # The process that registered it may have ended right before this.
                events.registered(self.journal, call, self.redis.hgetall(Keys(call.agent).call(call.id)))
        return False

    def _journal_registered(self, call: Call, kept: Mapping[str, str]) -> None:
        """Journal a call that was just registered; raises JournalUnavailable, and then it is not registered any more."""
        try:
            events.registered(self.journal, call, kept)
        except JournalUnavailable:
            if _withdraw(self.redis, Keys(call.agent).of(call.key, call.id), call=call.id)[0] == "withdrawn":
                raise

    def reject(
        self, call: Call, receipt: dict[str, Any], keep_ms: int, sent: str = "{}", *, checked: bool = True
    ) -> ArgumentsDiffer | Unregistered | str:
        """Record that a call was refused before it was admitted: its arguments do not fit.

        `sent` are the arguments as the message carries them. Without `checked`, nothing is written of a call that is not
        registered. Returns the state in which the call stands.
        """
        n = Keys(call.agent)
        key = str(self.redis.hget(n.call(call.id), "key") or f"{call.task}:{call.id}")
        answer = _reject(
            self.redis,
            n.of(key, call.id),
            call=call.id,
            task=call.task,
            kwargs=call.kwargs,
            origin=call.origin,
            receipt=json.dumps(receipt),
            keep_ms=keep_ms,
            sent_kwargs=sent,
            accepts_unregistered="1" if checked else "",
        )
        match answer:
            case ["differs", task, kwargs]:
                return ArgumentsDiffer(task, kwargs)
            case ["unregistered"]:
                return Unregistered()
            case ["kept", state]:
                return str(state)
        return "rejected"

    def refuse_follower(self, call: Call, receipt: dict[str, Any], keep_ms: int) -> bool:
        """Record a follower that cannot be called, under the id that it would have had; False if that id is known."""
        n = Keys(call.agent)
        if self.redis.hget(n.call(call.id), "state") is not None:
            return False
        if call.options:
            self.redis.hset(n.call(call.id), "options", call.options)
            self.redis.zadd(n.followed, {call.id: 0})  # what follows this one, if it ends without a result
        self.reject(call, receipt, keep_ms)
        return True


def _other_content(call: Call, what: str, task: str, kwargs: str, *, options_only: bool = False) -> ContentMismatch:
    return ContentMismatch(
        f"the id {call.id} belongs to another call already; this one differs in {what}. "
        f"Nothing was started: give it an id of its own; see: {hints.gatehouse('explain', call.id)}",
        task,
        kwargs,
        options_only=options_only,
    )
