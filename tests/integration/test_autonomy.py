"""Observe, ask and act with real workers: the effect server counts what was sent, and has what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from state.processes import liveness
from state.redis.keys import Keys
from tests.conftest import a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.shell import Shell

ASKER = Keys("asker")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, effect_server: EffectServer) -> Iterator[Install]:
    server = a_valkey()
    env = {"EFFECTS_URL": effect_server.base_url, "AUTONOMY_ASKER": "ask"}
    made = Install(tmp_path_factory.mktemp("autonomy"), server.url, task_modules=("storyteller", "asker"), env=env)
    made.worker(concurrency=2)
    yield made
    made.close()
    server.close()


@pytest.fixture(autouse=True)
def _clean(effect_server: EffectServer, shell: Shell) -> None:
    effect_server.clear()
    shell.gate("autonomy", "asker", "ask", "--why", "each test begins so")


def stands(store: redis.Redis, key: str, state: str) -> None:
    until(lambda: store.hget(ASKER.key(key), "state") == state, 30, f"{key} to be {state}")


def is_done_once_asked_again(store: redis.Redis, key: str, call: str) -> bool:
    """Whether the key is done; its call may be waiting for the end of a pause, which it notices within a minute."""
    store.zadd(ASKER.waiting, {call: 0}, xx=True)
    return bool(store.hget(ASKER.key(key), "state") == "done")


def sent(effect_server: EffectServer, key: str) -> list[Any]:
    return [json.loads(row["body"]) for row in effect_server.rows() if row["key"] == key]


def test_an_agent_that_asks_sends_exactly_what_was_approved(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    [call] = shell.delay("asker.write", {"name": "ann"})
    stands(store, "letter:ann", "held")
    answer = house.answer(call)
    assert (answer["ok"], answer["error"], answer["stage"]) == (False, "waits for approval", "approval")
    read = shell.gate("explain", "letter:ann")["payload"]
    assert "running (asks first)" in shell.celery("gate", "status", "asker").stdout

    shell.gate("approve", "letter:ann", "--why", "read it")
    stands(store, "letter:ann", "done")

    assert sent(effect_server, "letter:ann") == [read]


def test_an_agent_that_observes_says_what_it_would_have_sent_and_its_key_stays_free(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    shell.gate("autonomy", "asker", "observe", "--why", "to see")
    [call] = shell.delay("asker.write", {"name": "bob"})

    answer = house.answer(call)
    assert (answer["error"], answer["stage"]) == ("observed", "autonomy")
    story = shell.gate("explain", "letter:bob")
    assert story["state"] == "rejected"
    [told] = [event for event in story["story"] if event["event"] == "would have sent"]
    assert told["payload"]["name"] == "bob"
    assert effect_server.count() == 0
    assert house.state("asker")["errors"] == []

    shell.gate("autonomy", "asker", "act", "--why", "good")
    shell.delay("asker.write", {"name": "bob"})
    stands(store, "letter:bob", "done")
    assert effect_server.count("letter:bob") == 1


def test_a_task_that_swallows_the_question_is_held_all_the_same(
    shell: Shell, store: redis.Redis, effect_server: EffectServer
) -> None:
    shell.delay("asker.hear_nothing", {"name": "carl"})
    stands(store, "deaf:carl", "held")

    shell.gate("approve", "deaf:carl")
    stands(store, "deaf:carl", "done")
    assert effect_server.count("deaf:carl") == 1


def test_what_was_kept_before_the_question_is_there_after_it(
    shell: Shell, store: redis.Redis, effect_server: EffectServer
) -> None:
    shell.delay("asker.stamp", {"name": "dora"})
    stands(store, "stamped:dora", "held")

    shell.gate("approve", "stamped:dora")
    stands(store, "stamped:dora", "done")

    assert effect_server.count("stamp:dora") == 1


def test_a_question_and_an_approval_survive_the_loss_of_redis(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    _, call = shell.delay("asker.write", {"name": "eve"}, {"name": "fritz"})
    stands(store, "letter:eve", "held")
    stands(store, "letter:fritz", "held")
    read = {name: shell.gate("explain", f"letter:{name}")["payload"] for name in ("eve", "fritz")}
    shell.gate("pause", "asker", "--why", "so that what is approved is not sent yet")
    shell.gate("approve", "letter:fritz")
    store.flushall()

    shell.gate("recover")

    assert shell.gate("autonomy", "asker")["autonomy"] == "ask"
    stands(store, "letter:eve", "held")
    shell.gate("resume", "asker")
    until(lambda: is_done_once_asked_again(store, "letter:fritz", call), 30, "what was approved to be sent")
    assert sent(effect_server, "letter:fritz") == [read["fritz"]]
    assert effect_server.count("letter:eve") == 0
    assert shell.gate("explain", "letter:eve")["payload"] == read["eve"]
    shell.gate("approve", "letter:eve")
    stands(store, "letter:eve", "done")
    assert sent(effect_server, "letter:eve") == [read["eve"]]


def test_a_person_edits_what_waits_and_that_is_sent(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    shell.delay("asker.write", {"name": "gina"})
    stands(store, "letter:gina", "held")
    file = house.folder / "gina.json"

    file.write_text(json.dumps({"name": "another", "text": "in another name"}))
    assert "name is part of the key" in refused_by(house, "revise", "letter:gina", "--payload", str(file), "--why", "x")
    file.write_text(json.dumps({"name": "gina", "text": "no"}))
    assert "text: String should have at least 3" in refused_by(
        house, "revise", "letter:gina", "--payload", str(file), "--why", "x"
    )
    file.write_text(json.dumps({"name": "gina", "text": "what I would say"}))
    shell.gate("revise", "letter:gina", "--payload", str(file), "--why", "in my words")
    stands(store, "letter:gina", "done")

    assert sent(effect_server, "letter:gina") == [{"name": "gina", "text": "what I would say", "copies": 1}]


def test_a_text_that_was_refused_is_corrected_and_sent(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    shell.gate("autonomy", "asker", "act", "--why", "to see")
    effect_server.mode("refuse:413", key="letter:hans", for_next=1)
    shell.delay("asker.write", {"name": "hans"})
    stands(store, "letter:hans", "rejected")
    refused = shell.gate("explain", "letter:hans")["payload"]
    file = house.folder / "hans.json"
    file.write_text(json.dumps(refused | {"text": "shorter"}))

    shell.gate("revise", "letter:hans", "--payload", str(file), "--why", "it was too long")
    stands(store, "letter:hans", "done")

    assert [body["text"] for body in sent(effect_server, "letter:hans")] == ["shorter"]
    [told] = [event for event in shell.gate("explain", "letter:hans")["story"] if event["event"] == "revised"]
    assert told["payload"]["text"] == "shorter"


def refused_by(house: Install, *command: str) -> str:
    done = house.celery("gate", *command, "--json")
    assert done.returncode == 1, done.stdout
    return str(json.loads(done.stdout)["error"])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_is_killed_around_an_approval_sends_once(
    install: Install, effects: EffectServer, when: str
) -> None:
    install.env |= {"AUTONOMY_ASKER": "ask", "TASK_MODULES": "storyteller,asker"}
    worker = install.worker()
    install.call("asker.write", name="ida")
    until(lambda: install.explain("letter:ida")["state"] == "held", 30, "the question")
    if when == "before":
        worker.kill9()
        assert install.explain("letter:ida")["state"] == "held"
        install.gate("approve", "letter:ida")
    else:
        effects.mode("delay:60", key="letter:ida", for_next=1)
        install.gate("approve", "letter:ida")
        effects.wait_in_flight()
        worker.kill9()
    install.worker()

    if when == "before":
        until(lambda: install.explain("letter:ida")["state"] == "done", 30, "the approved text to be sent")
    else:
        until(lambda: install.explain("letter:ida")["state"] == "unknown", 60, "the doubt to be seen")
    assert effects.arrived("letter:ida") == 1


def test_who_chooses_a_mode_is_told_of_processes_that_do_not_know_it(shell: Shell, store: redis.Redis) -> None:
    """A version before it sends until it notices that the format of Redis rose, and ends."""
    [current] = [json.loads(text) for text in store.hvals(liveness.key())]
    older = {name: value for name, value in current.items() if name != "reads"} | {"pid": 7, "token": "older"}
    store.hset(liveness.key(), "worker@elsewhere:7", json.dumps(older | {"host": "elsewhere"}))
    try:
        asks = shell.celery("gate", "autonomy", "asker", "ask", "--why", "to see")
        acts = shell.celery("gate", "autonomy", "asker", "act", "--why", "to see")
    finally:
        store.hdel(liveness.key(), "worker@elsewhere:7")
    alone = shell.celery("gate", "autonomy", "asker", "ask", "--why", "to see")

    assert asks.stdout.startswith("asker: ask (before: ask)")
    assert asks.stderr.startswith(
        "worker 7 on elsewhere: of an older version, which sends without asking until it ends"
    )
    assert acts.stderr == alone.stderr == ""
