"""Events of tasks, for Flower: sent many at once, a moment later, and all of them before a worker ends."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.harness import Install, until
from tests.harness.shell import Shell


class Watcher:
    """Record the lists of events that a worker sends to Flower, in the order of sending."""

    def __init__(self, store: redis.Redis) -> None:
        self.batches: list[list[dict[str, Any]]] = []
        self._channel = store.pubsub(ignore_subscribe_messages=True)
        self._channel.psubscribe("*celeryev/task.multi")

    def of(self, call: str) -> list[str]:
        """The types of a call's events so far."""
        while message := self._channel.get_message(timeout=0.01):
            self.batches.append(json.loads(base64.b64decode(json.loads(message["data"])["body"])))
        return [event["type"] for batch in self.batches for event in batch if event["uuid"] == call]

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def watcher(store: redis.Redis) -> Iterator[Watcher]:
    made = Watcher(store)
    yield made
    made.close()


ALL = ["task-received", "task-started", "task-succeeded"]


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_events_come_in_batches_and_none_is_missing_when_a_worker_ends(
    house: Install, shell: Shell, watcher: Watcher, pool: str
) -> None:
    worker = house.worker(pool, concurrency=2)
    calls = shell.delay("counter.add", *({"a": n, "b": 1} for n in range(40)))
    until(lambda: all(sorted(watcher.of(call)) == ALL for call in calls), 10, "three events of each call")
    assert len(watcher.batches) < len(calls)

    [last] = shell.delay("counter.sleepy", {"seconds": 1.0})
    until(lambda: "task-started" in watcher.of(last), 10, "the task to run")
    worker.terminate()

    until(lambda: sorted(watcher.of(last)) == ALL, 5, "the last event, which was sent before the worker ended")
