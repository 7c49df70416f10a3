"""A process subscribes only to the results that it asks for."""

from __future__ import annotations

from collections.abc import Callable

from tests.harness import Install, Valkey

SENDING = """
from workers import app
import settings
from state.redis import client
made = [app.send_task("counter.add", kwargs={"a": number, "b": 1}) for number in range(3)]
print(len(client.client().pubsub_channels("celery-task-meta-*")))
print(made[2].get(timeout=180)["result"])
"""


def test_a_process_that_sends_calls_subscribes_to_no_result_before_it_asks_for_one(
    install_on: Callable[[Valkey], Install], valkey: Valkey
) -> None:
    install = install_on(valkey)
    install.worker(pool="threads", concurrency=1)

    assert ["0", "3"] == install.python(SENDING).split()
