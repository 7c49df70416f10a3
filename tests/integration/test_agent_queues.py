"""AGENT_QUEUES: the calls of an agent go to its queue, from whichever door, and a worker of that queue runs them."""

from __future__ import annotations

import json

import pytest
import redis

from state.redis.keys import Keys
from tests.harness import Install
from tests.harness.shell import Shell

COUNTER = Keys("counter")


@pytest.fixture(scope="module", autouse=True)
def _routed(house: Install) -> None:
    house.env["AGENT_QUEUES"] = "counter:fast"


def tasks(store: redis.Redis, queue: str) -> list[str]:
    """The tasks of the messages that wait in a queue."""
    return [json.loads(message)["headers"]["task"] for message in store.lrange(queue, 0, -1)]


def test_the_calls_of_an_agent_wait_in_its_queue_and_those_of_others_do_not(shell: Shell, store: redis.Redis) -> None:
    [routed] = shell.delay("counter.add", {"a": 1, "b": 1})
    [other] = shell.delay("clerk.remember", {"name": "x", "value": 1})

    assert tasks(store, "fast") == ["counter.add"]
    assert tasks(store, "celery") == ["clerk.remember"]
    assert store.hget(COUNTER.call(routed), "lane") == "fast"
    assert not store.hget(Keys("clerk").call(other), "lane")


def test_a_call_that_names_a_queue_goes_there(shell: Shell, store: redis.Redis) -> None:
    shell.run("answer = app.tasks['counter.add'].apply_async(args=[1, 1], queue='named').id")

    assert store.llen("named") == 1


def test_a_worker_of_the_queue_runs_them_and_sends_lost_ones_again_there(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    [lost] = shell.delay("counter.add", {"a": 2, "b": 3})
    store.delete("fast", "celery")
    store.zadd(COUNTER.queued, {lost: 1}, xx=True)

    worker = house.worker(queues="fast")

    assert house.answer(lost)["result"] == 5
    assert house.answer(house.call("counter.add", a=2, b=2))["result"] == 4
    assert "counter.add" not in tasks(store, "celery")  # the clerk's lost call may be there again, after its grace
    worker.kill9()


def test_a_call_that_was_registered_before_the_routing_is_the_same_call(house: Install, shell: Shell) -> None:
    before = Install(house.folder / "before", house.redis_url, task_modules=("counter",))
    code = "app.send_task('counter.add', args=[1, 1], task_id='early')"
    before.python(code)
    before.close()

    assert shell.run(f"answer = {code}.id") == "early"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("nobody:fast", "'nobody', which is not an agent"),
        ("counter:unacked", "cannot name a queue"),
        ("counter", "AGENT:QUEUE"),
        ("counter:a,counter:b", "AGENT:QUEUE"),
    ],
)
def test_what_cannot_be_routed_is_refused_at_start(house: Install, value: str, says: str) -> None:
    wrong = Install(house.folder / "wrong", house.redis_url, task_modules=("counter",), env={"AGENT_QUEUES": value})

    done = wrong.celery("inspect", "ping")

    assert done.returncode != 0
    assert "AGENT_QUEUES" in done.stderr
    assert says in done.stderr
    wrong.close()
