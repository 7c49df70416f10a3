"""The queue and the priority of a call belong to the call: every message of it goes there, whoever sends it."""

from __future__ import annotations

from functools import partial

import pytest
import redis

from state.redis.keys import Keys
from tests.harness import Install, Process, until
from tests.harness.shell import Shell

COUNTER, CLERK = Keys("counter"), Keys("clerk")
#: Longer ago than any grace.
LONG_AGO_MS = 60_000


@pytest.fixture(scope="module")
def default(house: Install) -> Process:
    """A worker of the default queue."""
    return house.worker(concurrency=2)


@pytest.fixture(scope="module")
def slow(house: Install) -> Process:
    """A worker of `slowq` alone, with one hand."""
    return house.worker(concurrency=1, queues="slowq")


def into_slowq(shell: Shell, task: str, options: str = "queue='slowq'", **kwargs: object) -> str:
    call: str = shell.run(
        f"answer = app.tasks[task].apply_async(kwargs=kwargs, {options}).id", task=task, kwargs=kwargs
    )
    return call


def runs(process: Process, call: str) -> int:
    """How many attempts of the call ended in this worker, or were deferred there."""
    ends = ("done", "failed", "refused", "deferred")
    return sum(told["call"] == call for end in ends for told in process.events(end))


def silent_for_long(store: redis.Redis, *calls: str) -> None:
    """As if each had been sent a minute ago and never begun."""
    for call in calls:
        store.hincrby(COUNTER.call(call), "sent_ms", -LONG_AGO_MS)
        store.zadd(COUNTER.queued, {call: 1}, xx=True)


def two_sweeps(shell: Shell, store: redis.Redis) -> None:
    """Wait until a sweeper has looked at everything twice: it sends two delayed calls, one after the other."""
    for _ in range(2):
        call = shell.run("answer = app.tasks['clerk.remember'].apply_async(args=['swept', 1], countdown=0.01).id")
        until(partial(is_done, store, call), what="a sweep")


def is_done(store: redis.Redis, call: str) -> bool:
    return bool(store.hget(CLERK.call(call), "state") == "done")


def test_a_backlog_in_another_queue_is_not_run_by_the_default_worker(
    house: Install, shell: Shell, store: redis.Redis, default: Process, slow: Process
) -> None:
    """Messages in the default queue overtake nothing in `slowq`, and that the default queue is empty says nothing of it."""
    blocks = into_slowq(shell, "counter.sleepy", seconds=15, name="slowly")
    until(lambda: len(house.notes("slowly")) == 1, what="the slow worker to have its hand full")
    backlog = [into_slowq(shell, "counter.add", a=number, b=0) for number in range(8)]
    silent_for_long(store, *backlog)
    store.hincrby(COUNTER.agent_meta, "arrived_ms:slowq", -LONG_AGO_MS)  # the one that blocks was sent before them
    for answer in (house.answer(call) for call in shell.delay("counter.add", *[{"a": 1, "b": 1}] * 3)):
        assert answer["ok"]

    two_sweeps(shell, store)

    assert [store.hget(COUNTER.call(call), "sends") for call in backlog] == [None] * 8
    for call in (blocks, *backlog):
        assert house.answer(call)["ok"]
        assert (runs(default, call), runs(slow, call)) == (0, 1)


def test_a_lost_message_of_another_queue_is_sent_again_to_that_queue(
    house: Install, shell: Shell, store: redis.Redis, default: Process, slow: Process
) -> None:
    """Also while the default queue has a backlog."""
    blocks = shell.delay("counter.sleepy", *[{"seconds": 4, "name": "default"}] * 2)
    until(lambda: len(house.notes("default")) == 2, what="the default worker to have its hands full")
    waits = shell.delay("counter.add", {"a": 5, "b": 5})
    call = shell.run(
        """
        from gatekeeper.policies.spec import registered
        from state.redis import client as store
        from state.ledger import Ledger
        from state.options import Options
        said = Options(queue="slowq").as_json()
        call = registered()["counter.add"].call((), {"a": 2, "b": 3}, id="lost-in-slowq", origin="test", options=said)
        assert Ledger().register(call)
        answer = call.id
        """
    )
    silent_for_long(store, call)

    assert house.answer(call)["result"] == 5
    assert (runs(default, call), runs(slow, call)) == (0, 1)
    assert all(house.answer(other)["ok"] for other in (*waits, *blocks))


@pytest.mark.parametrize(
    "later", ["countdown=0.2", "eta=__import__('datetime').datetime.now(__import__('datetime').UTC)"]
)
def test_a_delayed_call_keeps_its_queue(
    house: Install, shell: Shell, default: Process, slow: Process, later: str
) -> None:
    call = into_slowq(shell, "counter.add", f"queue='slowq', {later}", a=1, b=2)

    assert house.answer(call)["result"] == 3
    assert (runs(default, call), runs(slow, call)) == (0, 1)


def test_every_attempt_of_a_call_runs_in_its_queue(
    house: Install, shell: Shell, store: redis.Redis, default: Process, slow: Process
) -> None:
    call = into_slowq(shell, "clerk.flaky", name="slow-retries", times=2)

    until(lambda: runs(slow, call) == 3, 20, "the third attempt")
    assert store.hget(CLERK.call(call), "state") == "done"
    assert runs(default, call) == 0


def test_a_deferred_call_keeps_its_queue(
    house: Install, shell: Shell, store: redis.Redis, default: Process, slow: Process
) -> None:
    calls = [into_slowq(shell, "clerk.paced_once", n=number) for number in range(4)]

    until(lambda: {store.hget(CLERK.call(call), "state") for call in calls} == {"done"}, 20, "every turn to come")
    assert sum(runs(default, call) for call in calls) == 0


def test_a_call_by_the_command_line_keeps_its_queue(
    house: Install, shell: Shell, default: Process, slow: Process
) -> None:
    done = shell.celery("call", "counter.add", "--args", "[1, 1]", "--countdown", "0.1", "--queue", "slowq")
    call = done.stdout.split()[-1]
    assert house.explain(call)["options"] == {"queue": "slowq"}

    assert house.answer(call)["result"] == 2
    assert (runs(default, call), runs(slow, call)) == (0, 1)


def test_the_priority_of_a_call_is_that_of_each_of_its_messages(
    house: Install, shell: Shell, store: redis.Redis, default: Process
) -> None:
    """One of a lower priority that others overtake is not lost."""
    blocks = shell.delay("counter.sleepy", *[{"seconds": 3, "name": "busy"}] * 2)
    until(lambda: len(house.notes("busy")) == 2, what="the worker to have its hands full")
    last = into_slowq(shell, "counter.add", "priority=9", a=9, b=9)
    first = into_slowq(shell, "counter.add", "priority=0", a=0, b=0)
    silent_for_long(store, last)
    is_ended = partial(store.hget, COUNTER.call(first), "state")

    until(lambda: is_ended() == "done", what="the first to overtake the last")
    assert house.answer(last)["ok"]

    assert store.hget(COUNTER.call(last), "sends") is None
    assert store.hget(COUNTER.agent_meta, "arrived_ms:/9") is not None
    assert all(house.answer(call)["ok"] for call in blocks)


def test_a_call_without_a_result_has_none(house: Install, shell: Shell, store: redis.Redis, default: Process) -> None:
    call = into_slowq(shell, "counter.add", "ignore_result=True, countdown=0.1", a=1, b=1)

    until(lambda: store.hget(COUNTER.call(call), "state") == "done", what="the call to be done")
    assert store.get(f"celery-task-meta-{call}") is None
