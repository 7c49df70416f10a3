"""What a call is, the register says: a message that carries its id and says otherwise is refused, and an id is given once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import Celery

from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import Install, Process, until
from tests.harness.shell import Shell
from tests.integration.test_doors import flower

STORIES, COUNTERS = Keys("storyteller"), Keys("counter")
TASK = "storyteller.publish"


@pytest.fixture(scope="module", params=["threads", "prefork"])
def worker(request: pytest.FixtureRequest, house: Install) -> Iterator[Process]:
    """One worker at a time, of each pool."""
    worker = house.worker(pool=request.param, concurrency=2)
    yield worker
    worker.kill9()


@pytest.fixture
def ada(shell: Shell) -> str:
    """A call that is registered for ten minutes from now; its key is `story:ada-…`."""
    name = f"ada-{uuid4()}"
    call: str = shell.run(
        "answer = app.tasks[task].apply_async(kwargs={'post_id': name}, task_id=name, countdown=600).id",
        task=TASK, name=name,
    )  # fmt: skip
    return call


def rows(store: redis.Redis, call: str) -> dict[str, Any]:
    """Everything that Redis knows of a call, its key and its result."""
    key = f"story:{call}"
    return {
        "call": store.hgetall(STORIES.call(call)),
        "key": store.hgetall(STORIES.key(key)),
        "story": store.lrange(STORIES.history(key), 0, -1),
        "due": store.zscore(STORIES.waiting, call),
        "queued": store.zscore(STORIES.queued, call),
        "result": store.get(f"celery-task-meta-{call}"),
        "elsewhere": store.exists(COUNTERS.call(call)),
    }


Forge = Callable[[Celery, str], Any]

FORGERIES: dict[str, Forge] = {
    "other arguments": lambda app, call: app.send_task(TASK, kwargs={"post_id": "bob"}, task_id=call),
    "positional arguments": lambda app, call: app.send_task(TASK, args=["bob"], task_id=call),
    "arguments that fit nothing": lambda app, call: app.send_task(TASK, kwargs={"nonsense": 1}, task_id=call),
    "an argument called self": lambda app, call: app.send_task(TASK, kwargs={"self": 1}, task_id=call),
    "no arguments": lambda app, call: app.send_task(TASK, task_id=call),
    "another task": lambda app, call: app.send_task("storyteller.publish_carefully", args=["bob"], task_id=call),
    "another agent": lambda app, call: app.send_task("counter.add", args=[1, 2], task_id=call),
    "another agent, and arguments that fit nothing": lambda app, call: app.send_task("counter.add", task_id=call),
    "a task of Celery's own": lambda app, call: app.send_task("celery.accumulate", args=[1], task_id=call),
    "a task that nobody has": lambda app, call: app.send_task("nobody.has", task_id=call),
    "an expiry in the past": lambda app, call: app.send_task(TASK, kwargs={"post_id": call}, task_id=call, expires=-60),
    "the very same, too early": lambda app, call: app.send_task(TASK, kwargs={"post_id": call}, task_id=call),
    "a time limit": lambda app, call: app.send_task(TASK, kwargs={"post_id": "bob"}, task_id=call, time_limit=1),
    "a header with the id": lambda app, call: app.send_task(TASK, kwargs={"post_id": "bob"}, headers={"id": call}),
}


def told(worker: Process, call: str) -> list[dict[str, Any]]:
    """The log lines that say that a message of this id was not taken."""
    events = ("message refused", "message early", "message dropped")
    return [line for line in worker.lines if line["event"] in events and call in (line.get("call"), line.get("id"))]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_message_that_is_not_what_was_registered_changes_nothing_and_the_call_runs_at_its_time(
    worker: Process,
    store: redis.Redis,
    stranger: Celery,
    house: Install,
    effect_server: EffectServer,
    ada: str,
    forgery: str,
) -> None:
    effect_server.clear()
    before = rows(store, ada)
    assert before["call"]["state"] == "waiting"

    for number in (1, 2):
        FORGERIES[forgery](stranger, ada)
        until(lambda n=number: len(told(worker, ada)) == n, 20, "the refusal in the log")  # type: ignore[misc]

    until(lambda: not store.llen("celery") and not store.hlen("unacked"), 20, "the queue to be empty")
    assert rows(store, ada) == before
    assert effect_server.arrived() == 0
    store.zadd(STORIES.waiting, {ada: 1})
    assert house.answer(ada)["result"]
    assert effect_server.counts() == {f"story:{ada}": 1}


def test_the_log_says_in_what_a_message_differs(worker: Process, stranger: Celery, ada: str) -> None:
    stranger.send_task(TASK, kwargs={"post_id": "bob"}, task_id=ada)

    [line] = until(lambda: told(worker, ada), 20, "the refusal in the log")

    assert (line["event"], line["task"], line["differs"]) == (
        "message refused", TASK, f'post_id: "bob" instead of "{ada}"'
    )  # fmt: skip


def test_a_message_under_the_id_of_a_call_that_is_done_does_not_replace_its_result(
    worker: Process, store: redis.Redis, stranger: Celery, house: Install, effect_server: EffectServer, shell: Shell
) -> None:
    effect_server.clear()
    [call] = shell.delay(TASK, {"post_id": f"done-{worker.name}"})
    house.answer(call)
    result = store.get(f"celery-task-meta-{call}")

    for forge in FORGERIES.values():
        forge(stranger, call)

    until(lambda: len(told(worker, call)) >= len(FORGERIES) - 2, 20, "the refusals in the log")
    until(lambda: not store.llen("celery") and not store.hlen("unacked"), 20, "the queue to be empty")
    assert json.loads(store.get(f"celery-task-meta-{call}") or "")["result"] == json.loads(result or "")["result"]
    assert set(effect_server.counts()) <= {f"story:done-{worker.name}", f"story:{call}"}
    assert effect_server.count(f"story:done-{worker.name}") == 1


@pytest.mark.parametrize("own", ["tick:publish:2199-11-30T09:00:00Z", "hook:github:4711"])
@pytest.mark.parametrize("kwargs", [{"post_id": "early"}, {"nonsense": 1}])
def test_a_message_that_nobody_registered_cannot_take_the_id_of_a_tick_or_of_a_delivery(
    worker: Process,
    store: redis.Redis,
    stranger: Celery,
    effect_server: EffectServer,
    own: str,
    kwargs: dict[str, Any],
) -> None:
    effect_server.clear()
    before = len(told(worker, own))

    stranger.send_task(TASK, kwargs=kwargs, task_id=own)

    until(lambda: len(told(worker, own)) > before, 20, "the refusal in the log")
    assert "registers" in told(worker, own)[-1]["differs"]
    until(lambda: not store.llen("celery") and not store.hlen("unacked"), 20, "the queue to be empty")
    assert not store.exists(STORIES.call(own))
    assert effect_server.arrived() == 0


# One id, one call


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    "second",
    [
        "app.tasks['storyteller.publish'].apply_async(kwargs={'post_id': 'bob'}, task_id=call)",
        "app.tasks['storyteller.publish'].apply_async(args=['bob'], task_id=call, countdown=5)",
        "app.send_task('storyteller.publish', kwargs={'post_id': 'bob'}, task_id=call)",
        "app.signature('storyteller.publish', kwargs={'post_id': 'bob'}).apply_async(task_id=call)",
        "app.send_task('storyteller.publish_carefully', kwargs={'post_id': 'bob'}, task_id=call)",
        "app.send_task('counter.add', kwargs={'a': 1, 'b': 2}, task_id=call)",
    ],
)
def test_a_known_id_with_other_content_is_an_error_that_says_what_differs(
    shell: Shell, store: redis.Redis, ada: str, second: str
) -> None:
    before = rows(store, ada)

    said = shell.run(
        f"""
        try:
            {second}
        except Exception as error:
            answer = [type(error).__name__, str(error)]
        """,
        call=ada,
    )

    assert said is not None, "nothing was refused"
    assert said[0] == "IdInUse"
    assert ada in said[1]
    assert any(word in said[1] for word in ("bob", "publish_carefully", "agent storyteller"))
    assert rows(store, ada) == before


@pytest.mark.usefixtures("worker")
def test_a_known_id_with_the_same_content_is_known_and_runs_once(
    shell: Shell, house: Install, effect_server: EffectServer
) -> None:
    effect_server.clear()
    call = f"order-{uuid4()}"
    again = "answer = app.tasks['storyteller.publish'].apply_async(kwargs={'post_id': call}, task_id=call).id"

    assert [shell.run(again, call=call) for _ in range(3)] == [call] * 3

    house.answer(call)
    assert effect_server.counts() == {f"story:{call}": 1}
    assert shell.run(again, call=call) == call


@pytest.mark.parametrize("odd", ["", "x" * 256, "a\nb", "\ud800", 7, ["x"]])
def test_an_id_that_no_message_can_carry_is_refused_at_the_door(shell: Shell, odd: Any) -> None:
    said = shell.run(
        """
        try:
            app.send_task('storyteller.publish', kwargs={'post_id': 'x'}, task_id=odd or chr(0))
        except Exception as error:
            answer = [type(error).__name__, str(error)]
        """,
        odd=odd,
    )

    assert said is not None, "nothing was refused"
    assert said[0] in {"InvalidArguments", "UnsupportedOption"}


def test_flower_answers_a_known_id_with_an_error(house: Install, ada: str) -> None:
    house.flower()

    status, _ = flower(house, f"/api/task/async-apply/{TASK}", {"kwargs": {"post_id": "bob"}, "task_id": ada})

    assert status >= 400
