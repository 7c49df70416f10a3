"""`gate recover` reads the state files back too, also where there is no journal: what held before holds again."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
import redis

from tests.effects.client import EffectServer
from tests.harness import Install
from tests.harness.shell import Shell

RUN = """
    import clerk
    try:
        answer = getattr(clerk, task)(**kwargs)
    except Exception as error:
        answer = {"ok": None, "raised": f"{type(error).__name__}: {error}"}
"""
PHOTOGRAPH = "from gatekeeper.policies.spec import agents\nfrom state.agents import state_file as mirror\nanswer = mirror.StateFiles(agents()).refresh()"


class Clerk:
    """Runs the clerk's tasks directly, without a worker, and photographs the state afterwards."""

    def __init__(self, shell: Shell, house: Install, store: redis.Redis) -> None:
        self.shell, self.house, self.store = shell, house, store

    def run(self, task: str, **kwargs: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.shell.run(RUN, task=task, kwargs=kwargs)
        self.shell.run(PHOTOGRAPH)
        return answer

    def state(self) -> dict[str, Any]:
        self.shell.run(PHOTOGRAPH)
        return self.house.state("clerk")

    def lose_everything(self) -> None:
        self.store.flushall()


@pytest.fixture
def clerk(shell: Shell, house: Install, effect_server: EffectServer) -> Clerk:
    effect_server.clear()
    store = redis.Redis.from_url(house.redis_url, decode_responses=True)
    store.flushall()
    for file in (house.state_dir / "agents").glob("*.json"):
        file.unlink()
    shutil.rmtree(house.state_dir / "journal", ignore_errors=True)
    return Clerk(shell, house, store)


def live(clerk: Clerk, effects: EffectServer) -> dict[str, Any]:
    """A life with everything in it: a post, a doubt, an error, a fact, a pause."""
    assert clerk.run("post", post_id="hello")["ok"]
    effects.mode("apply_then_reset", key="post:torn")
    assert clerk.run("post", post_id="torn")["ok"] is None
    assert clerk.run("complain", words="something broke")["ok"] is None
    assert clerk.run("remember", name="last", value={"deep": {"er": [1, None, "ä"]}})["ok"]
    clerk.shell.run("from state.agents import pause as agent\nagent.pause('clerk', 'ada', 'looking')")
    return clerk.state()


def test_a_restored_state_is_the_one_that_was_lost(house: Install, clerk: Clerk, effect_server: EffectServer) -> None:
    before = live(clerk, effect_server)
    clerk.lose_everything()

    answer = house.gate("recover")

    after = clerk.state()
    assert "clerk" in answer["restored"]
    assert after["revision"] > before["revision"]
    moved = {"revision": 0, "updated_at": ""}
    assert after | moved == before | moved
    assert len(after["errors"]) == 2
    assert after["held"][0]["key"] == "post:torn"
    assert after["published"]["hello"]["effects"]["url"]


def test_after_restoring_nothing_is_published_a_second_time(
    house: Install, clerk: Clerk, effect_server: EffectServer
) -> None:
    before = live(clerk, effect_server)
    clerk.lose_everything()
    house.gate("recover")
    assert clerk.run("post", post_id="another")["error"] == "paused"
    house.gate("resume", "clerk")

    hello = clerk.run("post", post_id="hello")
    torn = clerk.run("post", post_id="torn")

    assert hello["ok"]
    assert hello["result"] == before["published"]["hello"]["effects"]
    assert (torn["ok"], torn["error"]) == (False, "outcome unknown"), torn
    assert effect_server.counts() == {"post:hello": 1, "post:torn": 1}
    assert effect_server.arrived() == 2
    assert clerk.run("post", post_id="new")["ok"]


@pytest.mark.parametrize(
    ("word", "answer"), [("--applied", "replayed"), ("--not-applied", "sent"), ("--cancel", "cancelled")]
)
def test_a_restored_doubt_can_be_ended(
    house: Install, clerk: Clerk, effect_server: EffectServer, word: str, answer: str
) -> None:
    """Only the state files are left: no journal, no call."""
    live(clerk, effect_server)
    clerk.lose_everything()
    shutil.rmtree(house.state_dir / "journal")
    house.gate("recover")
    house.gate("resume", "clerk")
    effect_server.clear()

    house.gate("resolve", "post:torn", word, "--why", "I looked")

    torn = clerk.run("post", post_id="torn")
    assert clerk.state()["held"] == []
    expected = {"replayed": (True, True, 0), "sent": (True, False, 1), "cancelled": (False, None, 0)}[answer]
    assert (torn["ok"], torn.get("replayed"), effect_server.count("post:torn")) == expected, torn


def test_a_living_redis_is_never_overwritten(house: Install, clerk: Clerk, effect_server: EffectServer) -> None:
    live(clerk, effect_server)
    before = fingerprint(clerk)

    done = house.gate("recover")

    assert done["restored"] == []
    assert fingerprint(clerk) == before


def fingerprint(clerk: Clerk) -> dict[str, Any]:
    """Return the contents of each key of an agent but the ledger, whose epoch is new, and the list that has the recovery."""
    raw = redis.Redis.from_url(clerk.house.redis_url)
    read = {
        b"hash": raw.hgetall,
        b"list": lambda name: raw.lrange(name, 0, -1),
        b"zset": lambda name: raw.zrange(name, 0, -1, withscores=True),
        b"stream": raw.xrange,
        b"string": raw.get,
    }
    try:
        return {
            name.decode(): read[raw.type(name)](name)
            for name in raw.scan_iter("gate:*")
            if not {b"ledger", b"audit", b"{house}"} & set(name.split(b":"))
        }
    finally:
        raw.close()


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "{",
        "[]",
        '{"agent": "somebody else"}',
        '{"agent": "clerk", "revision": "many"}',
        '{"agent": "clerk", "errors": [1]}',
        '{"agent": "clerk", "revision": 99, "errors": [1]}',
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_nothing_is_restored(
    house: Install, clerk: Clerk, effect_server: EffectServer, broken: str
) -> None:
    live(clerk, effect_server)
    clerk.shell.run("import counter\ncounter.add(1, 2)")
    clerk.state()
    clerk.lose_everything()
    (house.state_dir / "agents" / "clerk.json").write_text(broken)

    refused = house.celery("gate", "recover", "--json")

    assert refused.returncode != 0
    assert "clerk.json" in json.loads(refused.stdout)["error"]
    assert "repair or remove it" in json.loads(refused.stdout)["error"]
    assert fingerprint(clerk) == {}


def test_without_files_there_is_nothing_to_restore(house: Install, clerk: Clerk) -> None:
    report = house.gate("recover")

    assert (report["records"], report["restored"], report["epochs"]) == (0, [], {})
    assert fingerprint(clerk) == {}


def test_the_publisher_answers_with_what_it_published_before_the_loss(house: Install, clerk: Clerk) -> None:
    post = "---\nid: hello\ntitle: Hello\npublish_at: 2026-01-01T00:00:00Z\n---\nSome words.\n"
    (house.content_dir / "hello.md").write_text(post)
    publish = "from tasks import publisher\nanswer = publisher.publish('hello', 'feed')"
    before = clerk.shell.run(publish)
    clerk.shell.run(PHOTOGRAPH)
    page = (house.public_dir / "posts" / "hello.html").stat().st_mtime_ns
    clerk.lose_everything()
    house.gate("recover")
    (house.content_dir / "hello.md").unlink()

    after = clerk.shell.run(publish)

    assert (after["ok"], after["result"]) == (True, before["result"])
    assert (house.public_dir / "posts" / "hello.html").stat().st_mtime_ns == page
    told = clerk.shell.gate("explain", "publish:feed:hello")
    assert "sending" not in [event["event"] for event in told["story"]]
