"""A message is only a hint: a lost one is sent again, and a backlog is not multiplied."""

from __future__ import annotations

from functools import partial

import pytest
import redis

from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.shell import Shell

COUNTER, STORYTELLER, CLERK = Keys("counter"), Keys("storyteller"), Keys("clerk")


@pytest.fixture
def stopped(house: Install) -> None:
    """No worker, so that what is sent stays in the broker."""
    for process in house.processes:
        process.kill9()


@pytest.fixture
def running(house: Install) -> None:
    """One worker with two hands, from the test before if it still runs."""
    if not any(process.alive for process in house.processes):
        house.worker(concurrency=2)


def register_only(shell: Shell, task: str, **kwargs: object) -> str:
    """What a door leaves that dies between the register and the broker, or whose message the broker loses."""
    call: str = shell.run(
        """
        from gatekeeper.policies.spec import registered
        from state.redis import client as store
        from state.ledger import Ledger
        from uuid import uuid4
        call = registered()[task].call((), kwargs, id=str(uuid4()), origin="test")
        assert Ledger().register(call)
        answer = call.id
        """,
        task=task,
        kwargs=kwargs,
    )
    return call


def pass_the_grace(store: redis.Redis, n: Keys, *calls: str) -> None:
    for call in calls:
        store.zadd(n.queued, {call: 1}, xx=True)


@pytest.mark.usefixtures("stopped")
def test_a_call_whose_message_was_deleted_is_sent_again_and_ends(
    house: Install, shell: Shell, store: redis.Redis, effect_server: EffectServer
) -> None:
    effect_server.clear()
    [call] = shell.delay("storyteller.publish", {"post_id": "lost"})
    assert store.llen("celery") == 1
    assert store.delete("celery") == 1
    pass_the_grace(store, STORYTELLER, call)

    house.worker(concurrency=2)

    assert house.answer(call)["ok"]
    assert effect_server.counts() == {"story:lost": 1}
    assert store.hget(STORYTELLER.call(call), "sends") == "1"


@pytest.mark.usefixtures("running")
def test_a_call_that_was_registered_and_never_sent_runs(house: Install, shell: Shell, store: redis.Redis) -> None:
    call = register_only(shell, "counter.add", a=2, b=3)
    pass_the_grace(store, COUNTER, call)

    assert house.answer(call)["result"] == 5


@pytest.mark.usefixtures("running")
def test_a_call_within_its_grace_is_left_alone(shell: Shell, store: redis.Redis) -> None:
    call = register_only(shell, "counter.add", a=2, b=3)
    grace_ends_ms = store.zscore(COUNTER.queued, call)
    assert grace_ends_ms

    two_sweeps(shell, store)

    sends = store.hget(COUNTER.call(call), "sends")
    assert sends is None or 1000 * store.time()[0] > grace_ends_ms
    pass_the_grace(store, COUNTER, call)


def two_sweeps(shell: Shell, store: redis.Redis) -> None:
    """Wait until the sweeper has looked at everything twice: it sends two delayed calls, one after the other."""
    for _ in range(2):
        call = shell.run("answer = app.tasks['clerk.remember'].apply_async(args=['swept', 1], countdown=0.01).id")
        until(partial(was_sent_again, store, call), what="a sweep")


def was_sent_again(store: redis.Redis, call: str) -> bool:
    return bool(store.hget(CLERK.call(call), "sends") == "1")


@pytest.mark.usefixtures("running")
def test_a_backlog_is_not_multiplied(house: Install, shell: Shell, store: redis.Redis) -> None:
    shell.delay("counter.sleepy", *[{"seconds": 600, "name": "blocks"}] * 2)
    until(lambda: len(house.notes("blocks")) == 2, what="the worker to have its hands full")
    before = store.llen("celery")  # a message that an earlier test had sent again, perhaps
    backlog = shell.delay("counter.add", *[{"a": number, "b": 0} for number in range(50)])
    waiting = store.llen("celery")
    assert waiting == before + 50

    pass_the_grace(store, COUNTER, *backlog)
    two_sweeps(shell, store)

    assert all(store.hget(COUNTER.call(call), "sends") is None for call in backlog)
    assert store.llen("celery") - waiting <= 2, "more messages than calls"

    house.processes[-1].kill9()
    house.worker(concurrency=4)
    until(
        lambda: {store.hget(COUNTER.call(call), "state") for call in backlog} == {"done"}, 30, "the backlog to be done"
    )
    assert {store.hget(COUNTER.call(call), "attempts") for call in backlog} == {"1"}


@pytest.mark.usefixtures("stopped")
def test_a_message_that_is_sent_again_while_the_first_still_waits_runs_once(
    house: Install, shell: Shell, store: redis.Redis, effect_server: EffectServer
) -> None:
    effect_server.clear()
    waiting = store.llen("celery")
    [call] = shell.delay("storyteller.publish", {"post_id": "doubled"})
    shell.run(
        """
        from state.ledger.sweep import DueCall
        for _ in range(3):
            app.resend(DueCall(call, "storyteller.publish", '{"post_id": "doubled", "later_step": "works"}'))
        """,
        call=call,
    )
    assert store.llen("celery") == waiting + 4

    house.worker(concurrency=4)

    until(lambda: store.llen("celery") == 0, what="every message to be taken")
    assert house.answer(call)["ok"]
    assert effect_server.arrived() == 1


@pytest.mark.usefixtures("running")
def test_a_call_whose_task_is_gone_is_told_and_can_be_ended(house: Install, shell: Shell, store: redis.Redis) -> None:
    """Its function was renamed while it waited."""
    call = register_only(shell, "clerk.complain", words="too late")
    store.hset(CLERK.call(call), "task", "clerk.grumble")
    pass_the_grace(store, CLERK, call)

    [told] = until(
        lambda: [told for told in house.processes[-1].events("no such task") if told["call"] == call][:1],
        what="the log to say so",
    )

    assert (told["agent"], told["task"]) == ("clerk", "clerk.grumble")
    assert house.explain(call)["state"] == "queued"
    house.gate("resolve", house.explain(call)["key"], "--cancel", "--why", "the task is gone")
    assert house.explain(call)["state"] == "cancelled"


def test_keys_of_an_agent_that_is_gone_are_still_listed_and_can_be_ended(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    """Its module was removed while a key was in doubt; its state file is still there."""
    gone = Keys("gone")
    store.hset(gone.key("note:1"), mapping={"state": "unknown", "task": "gone.note", "call": "c1", "fence": 1})
    store.hset(gone.call("c1"), mapping={"task": "gone.note", "key": "note:1", "kwargs": "{}"})
    store.hset(gone.held, "note:1", '{"key": "note:1", "state": "unknown", "since": 1, "why": "no answer"}')
    (house.state_dir / "agents" / "gone.json").write_text('{"agent": "gone"}')

    assert [entry["key"] for entry in house.gate("held") if entry["agent"] == "gone"] == ["note:1"]
    assert house.explain("note:1")["state"] == "unknown"
    assert house.gate("resolve", "note:1", "--cancel", "--why", "the agent is gone")["state"] == "cancelled"
    assert [entry for entry in house.gate("held") if entry["agent"] == "gone"] == []
