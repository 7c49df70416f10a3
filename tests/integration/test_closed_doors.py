"""The journal cannot be written: no effect is accepted that would not be remembered, and each door says so in its way."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
import redis

from state.redis.keys import Keys
from tests import senders
from tests.effects.client import EffectServer
from tests.harness import Install, Process, Valkey, until
from tests.integration.test_beat import beat
from tests.senders import Answer, message

pytestmark = pytest.mark.slow

SECRET = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="

EVERY_MINUTE = """
timezone = "UTC"
schedule = {
    "each": {"cron": "* * * * *", "task": "clerk.post", "kwargs": {"post_id": "ticked"}},
    "safe": {"cron": "* * * * *", "task": "clerk.remember", "kwargs": {"name": "ticked", "value": 1}},
}
"""


@pytest.fixture
def house(install_on: Callable[[Valkey], Install], valkey: Valkey) -> Install:
    install = install_on(valkey)
    install.env["TASK_MODULES"] = "storyteller,counter,clerk"
    install.env["WEBHOOK_SECRET_STANDARD"] = SECRET
    return install


@pytest.fixture
def store(house: Install) -> redis.Redis:
    return redis.Redis.from_url(house.redis_url, decode_responses=True)


def close(house: Install) -> None:
    """Put a file where the folder was: not even root can write there."""
    folder = house.state_dir / "journal"
    if folder.exists():
        folder.rename(house.state_dir / "journal-away")
    folder.touch()


def open_again(house: Install) -> None:
    folder, away = house.state_dir / "journal", house.state_dir / "journal-away"
    folder.unlink()
    if away.exists():
        away.rename(folder)


def records(house: Install, event: str) -> list[dict[str, Any]]:
    files = sorted((house.state_dir / "journal").glob("*.jsonl"))
    lines = [line for file in files for line in file.read_text().splitlines() if line]
    return [record for line in lines if (record := json.loads(line))["event"] == event]


# Webhooks


def deliver(house: Install, delivery: str) -> Answer:
    body = message(delivery)
    return senders.send(f"{house.web_url}/hooks/standard", body, senders.standard(SECRET, body, delivery))


def test_a_webhook_is_503_and_its_sender_is_told_when_to_come_again(house: Install, store: redis.Redis) -> None:
    house.web()
    close(house)

    answer = deliver(house, "m1")

    assert answer.status == 503, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert str(house.state_dir) not in str(answer), "where the journal is, is nobody's business"


def test_what_was_refused_is_accepted_and_written_down_when_it_comes_again(house: Install) -> None:
    house.web()
    close(house)
    assert deliver(house, "m1").status == 503
    assert deliver(house, "m1").status == 503, "as long as it cannot be kept safe, it is not accepted"
    open_again(house)

    assert deliver(house, "m1").status in {200, 202}

    assert [record["call"] for record in records(house, "registered")] == ["hook:standard:m1"]


# The command line


def test_celery_call_says_it_in_one_clear_line(house: Install) -> None:
    close(house)

    done = house.celery("call", "clerk.post", "--kwargs", '{"post_id": "hello"}')

    assert done.returncode != 0
    assert done.stdout == ""
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    for words in ("journal", str(house.state_dir), "cannot be written", "effects are closed", "free the disk"):
        assert words in line


def test_what_was_refused_never_runs(house: Install, store: redis.Redis, effects: EffectServer) -> None:
    """Its caller was told so, and may have asked somebody else."""
    n = Keys("clerk")
    close(house)
    assert house.celery("call", "clerk.post", "--kwargs", '{"post_id": "refused"}').returncode != 0
    refused = house.python("""
        from celery.app.utils import find_app
        from state.errors import JournalUnavailable
        app = find_app("workers")
        try:
            app.tasks["clerk.post"].apply_async(("refused",), countdown=0.1)
        except JournalUnavailable:
            print("refused")
    """)
    assert "refused" in refused
    assert store.exists(n.queued, n.waiting, n.key("post:refused"), n.history("post:refused")) == 0
    assert list(store.scan_iter("gate:{clerk}:call:*")) == []
    open_again(house)

    house.worker()
    assert house.answer(house.call("clerk.post", post_id="other"))["ok"]

    assert effects.counts() == {"post:other": 1}


def test_a_task_without_an_effect_is_called_as_ever(house: Install) -> None:
    close(house)

    done = house.celery("call", "clerk.remember", "--kwargs", '{"name": "n", "value": 1}')

    assert done.returncode == 0, done.stderr


# Beat


def test_a_tick_waits_until_it_can_be_written_down_and_is_one_call(house: Install, store: redis.Redis) -> None:
    close(house)
    process = beat(house, EVERY_MINUTE)
    process.wait_for("tick waits")
    assert "cannot be written" in process.events("tick waits")[0]["error"]
    assert process.alive
    assert store.hget(Keys("clerk").ticks, "each") is None, "it counts as not started"

    open_again(house)

    until(lambda: store.hget(Keys("clerk").ticks, "each"), 15, "the tick to start")
    made = {record["call"] for record in records(house, "registered")}
    assert {call.rpartition(":20")[0] for call in made} == {"tick:each"}
    assert made <= {name.partition(":call:")[2] for name in store.scan_iter("gate:{clerk}:call:tick:each:*")}


def test_a_tick_that_cannot_be_written_down_holds_up_no_other_entry(house: Install, store: redis.Redis) -> None:
    """What changes nothing outside goes on."""
    close(house)
    process = beat(house, EVERY_MINUTE)
    process.wait_for("tick waits")

    until(lambda: store.hget(Keys("clerk").ticks, "safe"), 10, "the repeat-safe tick to start")


# Workers


#: Starts a worker that can write no file beyond this size, as on a full disk: its log is short, its journal is not.
FULL = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def worker_on_a_full_disk(house: Install) -> Process:
    """It had room for one effect."""
    first = house.worker()
    assert house.answer(house.call("clerk.post", post_id="first"))["ok"]
    first.terminate()
    [file] = (house.state_dir / "journal").glob("*.jsonl")
    with file.open("ab") as journal:
        journal.write(b"\n" * (4 << 20))
    celery = ["-m", "celery", "-A", "workers", "worker", "--pool", "threads", "--concurrency", "4"]
    worker = house.start("worker", [sys.executable, "-c", FULL, *celery, "--without-mingle", "--without-gossip"])
    worker.wait_for("worker ready")
    return worker


def hurry(store: redis.Redis, agent: str) -> None:
    """What waits need not wait."""
    for call in store.zrange(Keys(agent).waiting, 0, -1):
        store.zadd(Keys(agent).waiting, {call: 1}, xx=True)


def test_on_a_full_disk_nothing_is_sent_repeat_safe_work_goes_on_and_then_all_of_it(
    house: Install, effects: EffectServer, store: redis.Redis
) -> None:
    worker = worker_on_a_full_disk(house)
    call, safe = house.call("clerk.post", post_id="hello"), house.call("clerk.remember", name="n", value=1)

    refused = house.answer(call)
    assert (refused["error"], refused["stage"], refused["deferred"]) == ("effects are closed", "ledger", True)
    assert house.answer(safe)["ok"]
    assert effects.counts() == {"post:first": 1}
    until(lambda: house.explain("post:hello")["state"] == "waiting", 10, "it to wait; it asks again now and then")
    worker.kill9()
    house.worker()
    hurry(store, "clerk")

    until(lambda: house.explain("post:hello")["state"] == "done", 30, "the post to be done")
    assert effects.counts() == {"post:first": 1, "post:hello": 1}


def test_on_a_full_disk_a_call_waits_without_being_tried_again_and_again(house: Install, store: redis.Redis) -> None:
    """Each try would cost a model call, a place in the rate and an attempt."""
    worker = worker_on_a_full_disk(house)
    house.call("clerk.post", post_id="hello")

    def deferred(times: int) -> bool:
        hurry(store, "clerk")
        return len([*worker.events("deferred"), *worker.events("refused")]) >= times

    until(lambda: deferred(3), 30, "the call to be deferred three times")

    assert int(store.hget(Keys("clerk").key("post:hello"), "attempts") or 0) <= 1


def test_a_call_that_waits_for_the_journal_is_told_of_once(house: Install, effects: EffectServer) -> None:
    call = house.call("clerk.post", post_id="hello")
    close(house)
    house.worker()

    refused = house.answer(call)

    assert (refused["error"], refused["stage"]) == ("effects are closed", "ledger")
    assert "cannot be read" in refused["why"]
    assert [event["event"] for event in house.explain("post:hello")["story"]].count("deferred") == 1
    assert effects.counts() == {}
