"""The decisions of persons that Redis lost, brought back from the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from redis import Redis
from redis.client import Pipeline

from state.constants import MAX_AUDIT
from state.redis.keys import Keys


def restore(redis: Redis, agent: str, decisions: Iterable[dict[str, Any]]) -> None:
    """Add the decisions that the agent's list lacks, in the order of their times. It may be repeated.

    Args:
        redis: The connection.
        agent: The agent.
        decisions: Entries as the journal has them.

    """
    name, known = Keys(agent).audit, {entry["id"]: entry for entry in decisions}

    def write(pipe: Pipeline) -> None:
        there = [json.loads(row["entry"]) for _, row in pipe.xrange(name)]
        lost = known.keys() - {entry["id"] for entry in there}
        pipe.multi()
        if not lost:
            return
        entries = sorted([*there, *(known[each] for each in lost)], key=lambda entry: int(entry["at"]))
        pipe.delete(name)
        for number, entry in enumerate(entries[-MAX_AUDIT:]):
            pipe.xadd(name, {"entry": json.dumps(entry, ensure_ascii=False)}, id=f"{entry['at']}-{number}")

    if known:
        redis.transaction(write, name)
