"""Every door leads to the same gate: however a post is asked for, it is published once."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
import redis
from celery import Celery

from tests.effects.client import EffectServer
from tests.harness import Install, patient, until
from tests.harness.shell import Shell

POST = """---
id: hello
title: Hello
publish_at: 2026-01-01T00:00:00Z
---
Some words about running agents.
"""


@pytest.fixture(scope="module", autouse=True)
def running(house: Install) -> None:
    """A worker and Flower, started together."""
    (house.content_dir / "hello.md").write_text(POST)
    with ThreadPoolExecutor(2) as pool:
        for started in (pool.submit(house.worker), pool.submit(house.flower)):
            started.result()


def flower(house: Install, path: str, content: Any) -> tuple[int, Any]:
    """POST to Flower's API; answers status and content."""
    request = Request(f"{house.flower_url}{path}", json.dumps(content).encode(), {"Content-Type": "application/json"})
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=patient(10)) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def story(house: Install, shell: Shell, key: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = shell.run(
        """
        from gatekeeper.policies.spec import agents
        from state.redis import client as store
        from state.agents import history as story
        answer = story.read_history(agents(), key)["story"]
        """,
        key=key,
    )
    return told


# Every door, one effect


def test_a_post_that_is_asked_for_at_every_door_is_published_once(
    house: Install, shell: Shell, stranger: Celery, effect_server: EffectServer
) -> None:
    effect_server.clear()
    kwargs = {"post_id": "everywhere"}
    first = house.call("storyteller.publish", **kwargs)
    house.answer(first)  # a call that finds the key in progress is refused
    calls = [
        first,
        *shell.delay("storyteller.publish", kwargs),
        shell.run("answer = app.tasks['storyteller.publish'].apply_async(args=['everywhere']).id"),
        shell.run("answer = app.send_task('storyteller.publish', kwargs={'post_id': 'everywhere'}).id"),
        shell.run("answer = app.signature('storyteller.publish', args=['everywhere']).delay().id"),
        flower(house, "/api/task/async-apply/storyteller.publish", {"kwargs": kwargs})[1]["task-id"],
        flower(house, "/api/task/send-task/storyteller.publish", {"args": ["everywhere"]})[1]["task-id"],
        stranger.send_task("storyteller.publish", kwargs=kwargs).id,
        stranger.send_task("storyteller.publish", args=["everywhere"]).id,
    ]
    directly = shell.run("import storyteller; answer = storyteller.publish('everywhere')")
    applied = shell.run("answer = app.tasks['storyteller.publish'].apply(args=['everywhere']).get()")

    answers = [house.answer(call) for call in calls] + [directly, applied]

    assert effect_server.counts() == {"story:everywhere": 1}
    assert [answer["ok"] for answer in answers] == [True] * 11
    assert sum(not answer["replayed"] for answer in answers) == 1
    assert len({json.dumps(answer["result"], sort_keys=True) for answer in answers}) == 1


def test_the_story_names_the_door_of_every_call(house: Install, shell: Shell, stranger: Celery) -> None:
    kwargs = {"post_id": "doors"}
    calls = [
        shell.celery("call", "storyteller.publish", "--kwargs", json.dumps(kwargs)).stdout.split()[-1],
        *shell.delay("storyteller.publish", kwargs),
        flower(house, "/api/task/async-apply/storyteller.publish", {"kwargs": kwargs})[1]["task-id"],
        stranger.send_task("storyteller.publish", kwargs=kwargs).id,
    ]
    for call in calls:
        house.answer(call)

    told = story(house, shell, "story:doors")

    doors = {event["call"]: event["door"] for event in reversed(told) if "door" in event}
    assert [doors[call] for call in calls] == ["celery call", "python", "flower", "message"]


def test_flower_publishes_a_real_post_and_a_second_request_replays(house: Install) -> None:
    kwargs = {"post_id": "hello", "destination": "feed"}

    answers = []
    for _ in range(2):
        status, found = flower(house, "/api/task/async-apply/tasks.publisher.publish", {"kwargs": kwargs})
        assert status == 200
        answers.append(house.answer(found["task-id"]))

    assert [answer["replayed"] for answer in answers] == [False, True]
    assert answers[0]["key"] == "publish:feed:hello"
    assert answers[0]["result"] == answers[1]["result"]
    assert "Hello" in (house.public_dir / "feed.xml").read_text()
    assert len(list((house.public_dir / "entries").glob("*.json"))) == 1


def test_celery_call_publishes_and_a_second_one_replays(house: Install, shell: Shell) -> None:
    command = ("call", "storyteller.publish", "--kwargs", '{"post_id": "twice"}')
    first = house.answer(shell.celery(*command).stdout.split()[-1])
    second = house.answer(shell.celery(*command).stdout.split()[-1])

    assert (first["ok"], first["key"], first["replayed"]) == (True, "story:twice", False)
    assert second == {**first, "replayed": True}


# What is refused at the door leaves nothing behind


@pytest.fixture
def nothing_changes(store: redis.Redis) -> Iterator[None]:
    def seen() -> set[str]:
        return {name for name in store.scan_iter("gate:*") if ":call:" in name or ":key:" in name}

    before = seen()
    yield
    assert seen() == before


@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"post": "x"}, "post_id"),
        ({"post_id": 7}, "post_id"),
    ],
)
def test_celery_call_refuses_wrong_arguments_in_a_clear_line(house: Install, kwargs: dict[str, Any], says: str) -> None:
    done = house.celery("call", "storyteller.publish", "--kwargs", json.dumps(kwargs))

    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    assert says in done.stderr
    assert "storyteller.publish" in done.stderr


@pytest.mark.usefixtures("nothing_changes")
def test_celery_call_refuses_a_task_that_nobody_has(shell: Shell) -> None:
    done = shell.celery("call", "storyteller.pubish", "--kwargs", "{}")

    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    assert "storyteller.publish" in done.stderr


@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize(
    "door",
    [
        "app.tasks['storyteller.publish'].delay(**kwargs)",
        "app.tasks['storyteller.publish'].apply_async(kwargs=kwargs)",
        "app.send_task('storyteller.publish', kwargs=kwargs)",
        "app.signature('storyteller.publish', kwargs=kwargs).delay()",
    ],
)
@pytest.mark.parametrize("kwargs", [{"post": "x"}, {"post_id": ["x"]}, {}])
def test_python_refuses_wrong_arguments_before_anything_is_written(
    shell: Shell, door: str, kwargs: dict[str, Any]
) -> None:
    said = shell.run(
        f"""
        try:
            {door}
        except Exception as error:
            answer = [type(error).__name__, str(error)]
        """,
        kwargs=kwargs,
    )

    assert said is not None, "nothing was refused"
    assert said[0] in {"InvalidArguments", "TypeError"}
    assert "post" in said[1]


@pytest.mark.usefixtures("nothing_changes")
def test_flower_refuses_wrong_arguments(house: Install) -> None:
    status, said = flower(house, "/api/task/async-apply/storyteller.publish", {"kwargs": {"post": "x"}})

    assert status >= 400, said


# A foreign message can only be refused when it is there


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((), {"post": "x"}, "post_id"),
        ((), {"post_id": "x", "lat_step": 1}, "lat_step"),
        ((7,), {}, "post_id"),
        (("a", "b", "c"), {}, "too many positional arguments"),
        ((), {"post_id": "\ud800"}, "Unicode"),
        ((), {"post_id": "x" * 400}, "at most 300"),
    ],
)
def test_a_foreign_message_with_wrong_arguments_ends_as_a_refusal(
    house: Install, stranger: Celery, effect_server: EffectServer, store: redis.Redis, args: Any, kwargs: Any, says: str
) -> None:
    effect_server.clear()

    call = stranger.send_task("storyteller.publish", args=args, kwargs=kwargs).id
    answer = house.answer(call)

    assert (answer["ok"], answer["error"], answer["stage"]) == (False, "invalid arguments", "input")
    assert says in answer["detail"]
    assert effect_server.arrived() == 0
    assert store.hget(f"gate:{{storyteller}}:call:{call}", "state") == "rejected"
    assert until(lambda: house.state("storyteller")["metrics"].get("refused_input"), what="the refusal in the mirror")


def test_a_foreign_message_is_redelivered_without_a_second_effect(
    house: Install, stranger: Celery, effect_server: EffectServer
) -> None:
    effect_server.clear()
    ids = ["the-same-id"] * 3

    for call in ids:
        stranger.send_task("storyteller.publish", kwargs={"post_id": "redelivered"}, task_id=call)

    until(lambda: effect_server.count("story:redelivered"), what="the effect")
    assert house.answer("the-same-id")["ok"]
    assert house.answer(stranger.send_task("storyteller.publish", kwargs={"post_id": "redelivered"}).id)["replayed"]
    assert effect_server.counts() == {"story:redelivered": 1}


def test_a_foreign_countdown_is_no_way_around_the_gate(
    house: Install, stranger: Celery, effect_server: EffectServer
) -> None:
    effect_server.clear()

    calls = [stranger.send_task("storyteller.publish", args=["later"], countdown=0.2).id for _ in range(3)]

    answers = [house.answer(call) for call in calls]
    assert effect_server.counts() == {"story:later": 1}
    assert all(answer["ok"] or answer["error"] == "in progress" for answer in answers)


def test_a_delay_of_our_own_is_kept_in_the_register_not_in_the_message(shell: Shell, store: redis.Redis) -> None:
    call = shell.run("answer = app.tasks['storyteller.publish'].apply_async(args=['tomorrow'], countdown=86400).id")

    assert store.zscore("gate:{storyteller}:waiting", call) is not None
    until(
        lambda: not store.llen("celery") and not store.hlen("unacked"), what="no message, not even one of a test before"
    )


def test_flower_with_a_password_asks_for_it(house: Install) -> None:
    locked = Install(house.folder / "locked", house.redis_url, task_modules=(), env={"DESK_PASSWORD": "open sesame"})
    try:
        locked.flower()
        status, _ = flower(locked, "/api/task/async-apply/tasks.publisher.publish_next", {})
        token = base64.b64encode(b"admin:open sesame").decode()
        request = Request(f"{locked.flower_url}/api/workers", headers={"Authorization": f"Basic {token}"})
        with build_opener(ProxyHandler({})).open(request, timeout=patient(10)) as answer:
            inside = answer.status
    finally:
        locked.close()

    assert (status, inside) == (401, 200)
