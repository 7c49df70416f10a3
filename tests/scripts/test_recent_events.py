"""How far back the event stream is read."""

from __future__ import annotations

import json

from state.agents import events
from state.redis.keys import Keys
from tests.harness import Valkey


def test_only_what_happened_since_then_is_read(valkey: Valkey) -> None:
    told = {"outcome": "done", "task": "tasks.writer.draft", "key": "k", "ms": 5, "attempt": 1}
    for at_ms in (1000, 2000, 3000):
        valkey.client().xadd(Keys("writer").events, {"attempt": json.dumps(told)}, id=f"{at_ms}-0")

    assert [past.at_ms for past in events.recent("writer", 2000)] == [2000, 3000]
    assert events.recent("publisher", 0) == []
