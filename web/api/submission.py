"""A program's call of a task: register it, wait for its end, and say its answer. The HTTP API and MCP share this."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from uuid import uuid4

import anyio
from starlette.exceptions import HTTPException

from api_token import ApiToken
from gatekeeper.errors import InvalidArguments
from gatekeeper.policies.spec import TaskSpec, registered
from gatekeeper.run import answers
from state.agents import progress
from state.agents.progress import CallProgress
from state.model import Call
from web import blocking
from web.api import idempotency
from workers import app

#: Seconds between two looks at a call that is waited for: the first, and the longest.
FIRST_LOOK, LONGEST_LOOK = 0.05, 0.5
#: Requests that may wait at once; more are answered as if they had not asked to.
MAX_WAITING = 100


class KeyMissing(InvalidArguments):
    """Raised for a call without an idempotency key, of a task that has no key of its own."""


@dataclass(frozen=True)
class Submission:
    """A call as a program asks for it."""

    spec: TaskSpec
    arguments: Mapping[str, Any]
    program: str  #: the name of its token
    door: str = "api"
    idempotency_key: str = ""

    def call(self) -> Call:
        """Return the call.

        Raises:
            InvalidArguments: The arguments do not fit the task.
            KeyMissing: Nothing would keep a second request from being a second call.

        """
        self.spec.contract.check_json(json.dumps(self.arguments))
        if not self.idempotency_key and not self.spec.has_key:
            raise KeyMissing(f"{self.spec.name} has no key of its own, so a repeated request would run it again")
        key = self.idempotency_key
        name = idempotency.call_id(self.program, self.spec.name, key) if key else str(uuid4())
        return self.spec.call((), self.arguments, id=name, origin=f"{self.door} ({self.program})")


def tasks(token: ApiToken) -> dict[str, TaskSpec]:
    """Return the tasks that a token may call, by name."""
    return {name: spec for name, spec in sorted(registered().items()) if token.may_call(name)}


def submit(asked: Submission, call: Call) -> bool:
    """Put a call on record and send its message; it is durable when this returns.

    Args:
        asked: The submission.
        call: Its call.

    Returns:
        False if it was on record before.

    Raises:
        ContentMismatch: Its idempotency key was used before, with other arguments.
        StoreError: Redis does not answer.
        JournalUnavailable: The journal cannot be written; nothing was accepted.

    """
    digest = idempotency.digest(asked.arguments) if asked.idempotency_key else ""
    return app.accept(call, digest=digest, retry_policy=blocking.ONE_TRY)


async def end(call: Call, seconds: float, has_left: Callable[[], Awaitable[bool]]) -> CallProgress | None:
    """Wait for the end of a call.

    Args:
        call: A call that is on record.
        seconds: How long to wait; 0 to look once.
        has_left: Tells whether the client has closed its connection.

    Returns:
        Its progress as last seen: it has ended, a person has to decide, or the time is over. None if nobody knows it.

    """
    look = partial(blocking.call_store, partial(progress.read, call.agent, call.id))
    found, until, pause = await look(), time.monotonic() + seconds, FIRST_LOOK
    if not seconds or not _waiting().available_tokens:
        return found
    async with _waiting():
        while _is_open(found) and time.monotonic() + pause < until and not await has_left():
            await anyio.sleep(pause)
            pause = min(1.5 * pause, LONGEST_LOOK)
            try:
                found = await look()
            except HTTPException:
                return found  # the call was accepted, whatever becomes of the store meanwhile
    return found


def answer(call: Call, found: CallProgress) -> dict[str, Any]:
    """Return what the task answered, as its callers in Python get it; of a call that has not ended, why it waits."""
    if found.state == "done" and (found.result or found.flaw):
        return answers.of_result(found.key, found.result, found.flaw, replayed=found.replayed)
    return answers.refusal(found.key or call.key, {"error": found.state} | found.receipt)


def _is_open(found: CallProgress | None) -> bool:
    return found is not None and not found.has_ended and found.state != "held"


@cache
def _waiting() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(MAX_WAITING)
