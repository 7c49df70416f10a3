"""Where every attempt proved that nothing happened, a text that was corrected meanwhile is sent; otherwise the first one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import redis

from state.redis.keys import Keys
from tests.conftest import a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.shell import Shell

PATIENT = Keys("patient")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, effect_server: EffectServer) -> Iterator[Install]:
    server = a_valkey()
    env = {"EFFECTS_URL": effect_server.base_url}
    made = Install(tmp_path_factory.mktemp("corrected"), server.url, task_modules=("patient", "clerk"), env=env)
    made.worker(concurrency=2)
    yield made
    made.close()
    server.close()


@pytest.fixture(autouse=True)
def _clean(effect_server: EffectServer) -> None:
    effect_server.clear()


def write(house: Install, name: str, text: str) -> None:
    (house.notes_dir / f"text-{name}").write_text(text)


def ends(store: redis.Redis, name: str, state: str) -> None:
    until(lambda: store.hget(PATIENT.key(f"told:{name}"), "state") == state, 30, f"told:{name} to be {state}")


def sent(effect_server: EffectServer, name: str) -> list[dict[str, str]]:
    return [json.loads(row["body"]) for row in effect_server.rows() if row["key"] == f"told:{name}"]


def containers(effect_server: EffectServer, name: str) -> list[str]:
    return [json.loads(row["body"])["text"] for row in effect_server.rows() if row["key"] == f"container:{name}"]


def test_a_text_that_was_refused_is_read_again_when_the_call_is_replayed(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    write(house, "replayed", "a bad text")
    effect_server.mode("refuse:422", key="told:replayed", for_next=1)
    [call] = shell.delay("patient.tell", {"name": "replayed"})
    ends(store, "replayed", "rejected")
    write(house, "replayed", "a good text")

    shell.gate("replay", call)

    ends(store, "replayed", "done")
    assert [body["text"] for body in sent(effect_server, "replayed")] == ["a good text"]
    assert containers(effect_server, "replayed") == ["a bad text", "a good text"]
    assert shell.gate("explain", "told:replayed")["payload"] == {"text": "a good text"}


def test_a_new_call_with_the_same_key_sends_the_corrected_text(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    write(house, "anew", "a bad text")
    effect_server.mode("refuse:422", key="told:anew", for_next=1)
    shell.delay("patient.tell", {"name": "anew"})
    ends(store, "anew", "rejected")
    write(house, "anew", "a good text")

    shell.delay("patient.tell", {"name": "anew"})

    ends(store, "anew", "done")
    assert [body["text"] for body in sent(effect_server, "anew")] == ["a good text"]


def test_a_call_that_waits_takes_up_the_first_step_of_an_unchanged_text_and_makes_another_for_a_changed_one(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    write(house, "waits", "one text")
    effect_server.mode("refuse:429:0.1", key="told:waits")
    [call] = shell.delay("patient.tell", {"name": "waits"})

    def refused(times: int) -> bool:
        """Make the call due at once, and return whether the provider refused its text at least so many times."""
        store.zadd(PATIENT.waiting, {call: 1}, xx=True)
        return effect_server.arrived("told:waits") >= times

    until(lambda: refused(2), 30, "the same text to be refused twice")
    assert containers(effect_server, "waits") == ["one text"]
    write(house, "waits", "another text")
    known = effect_server.arrived("told:waits")
    until(lambda: refused(known + 2), 30, "an attempt that began after the change")
    effect_server.mode("ok", key="told:waits")

    ends(store, "waits", "done")

    assert [body["text"] for body in sent(effect_server, "waits")] == ["another text"]
    assert containers(effect_server, "waits") == ["one text", "another text"]


def test_a_text_that_was_ever_in_doubt_stays_the_text(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    write(house, "doubted", "the first text")
    effect_server.mode("refuse:503", key="told:doubted", for_next=1)
    shell.delay("patient.tell", {"name": "doubted"})
    ends(store, "doubted", "unknown")
    write(house, "doubted", "another text")
    effect_server.mode("refuse:429:0.1", key="told:doubted", for_next=2)

    shell.gate("resolve", "told:doubted", "--not-applied", "--why", "I looked")

    ends(store, "doubted", "done")
    assert [body["text"] for body in sent(effect_server, "doubted")] == ["the first text"]
    assert containers(effect_server, "doubted") == ["the first text"]


def test_a_corrected_text_is_sent_also_after_redis_lost_everything(
    shell: Shell, house: Install, store: redis.Redis, effect_server: EffectServer
) -> None:
    for name in ("lost", "lost-in-doubt"):
        write(house, name, "a bad text")
    effect_server.mode("refuse:422", key="told:lost", for_next=1)
    effect_server.mode("refuse:503", key="told:lost-in-doubt", for_next=1)
    shell.delay("patient.tell", {"name": "lost"}, {"name": "lost-in-doubt"})
    ends(store, "lost", "rejected")
    ends(store, "lost-in-doubt", "unknown")
    store.flushall()
    for name in ("lost", "lost-in-doubt"):
        write(house, name, "a good text")

    shell.gate("recover")
    shell.delay("patient.tell", {"name": "lost"})
    shell.gate("resolve", "told:lost-in-doubt", "--not-applied", "--why", "I looked")

    ends(store, "lost", "done")
    ends(store, "lost-in-doubt", "done")
    assert [body["text"] for body in sent(effect_server, "lost")] == ["a good text"]
    assert [body["text"] for body in sent(effect_server, "lost-in-doubt")] == ["a bad text"]
    assert containers(effect_server, "lost-in-doubt") == ["a bad text"]
