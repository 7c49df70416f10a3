"""The memory of an agent. Reads see Redis and this attempt's own changes; writes are applied when it settles as done."""

from __future__ import annotations

import json
from typing import Any

from gatekeeper.errors import GatekeeperError
from gatekeeper.run.attempt import Attempt, current
from state.agents.snapshot import HEAD_FIELDS
from state.model import FactChange

#: A fact is read by people; a text of this size belongs in a file.
MAX_FACT = 16 * 1024
#: Redis counts in 64 bits; a metric that grows by more at once is a mistake.
MAX_AT_ONCE = 10**15


class Memory:
    """The facts of the running agent.

    A plain fact has a name: `memory().put("last_analysis", {...})`. An entry of a bounded collection has the
    collection's name and a path: `memory().record("published", post_id, destination, value={...})`.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def get(self, *path: str) -> Any:
        """Return the fact or entry at `path`, or None."""
        change = self._attempt.facts.get(path)
        if change is not None:
            return None if change.value is None else json.loads(change.value)
        attempt = self._attempt
        return attempt.ledger.fact(attempt.claim.agent, path, attempt.patience)

    def put(self, name: str, value: Any) -> None:
        """Remember a plain fact; None removes it."""
        self._change((name,), value, collection="")

    def record(self, collection: str, *path: str, value: Any) -> None:
        """Remember one entry; the collection keeps its newest ones."""
        if not path:
            raise GatekeeperError(f"record({collection!r}) needs a path; for a plain fact use put({collection!r}, …)")
        self._change((collection, *path), value, collection)

    def count(self, name: str, by: int = 1) -> None:
        """Add to one of the agent's metrics."""
        if not isinstance(by, int) or abs(by) > MAX_AT_ONCE:
            raise GatekeeperError(f"count({name!r}, by={by!r}): metrics count in whole numbers; for others use put()")
        counters = self._attempt.counters
        counters[name] = counters.get(name, 0) + by

    def _change(self, path: tuple[str, ...], value: Any, collection: str) -> None:
        if path[0] in HEAD_FIELDS:
            raise GatekeeperError(f"the name {path[0]!r} belongs to the head of the state file; choose another")
        if not all(isinstance(name, str) for name in path):
            raise GatekeeperError(f"the path {path!r} of a fact is made of texts; write str(…) around the others")
        text = None if value is None else _as_json(path[0], value)
        if text is not None and len(text) > MAX_FACT:
            raise GatekeeperError(
                f"the fact {'/'.join(path)} has {len(text)} characters; at most {MAX_FACT} fit a state file"
            )
        self._attempt.facts[path] = FactChange(path, text, collection)


def _as_json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode(errors="replace").decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise GatekeeperError(f"the fact {name!r} cannot be written as JSON: {error}") from None


def memory() -> Memory:
    """Return the memory of the agent whose task is running; raises NoRunningTask outside one."""
    return Memory(current())
