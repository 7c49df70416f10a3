"""Two hosts on one Redis: one dies in the middle of an effect, the other leaves the key until a death is proven or said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from state.processes import host_signs
from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until
from tests.metrics.scrape import scrape

pytestmark = pytest.mark.slow

AGENTS = "storyteller,counter,doubter"
#: More look-ups than prove an absence.
LOOK_UPS = 3
TWO_MINUTES_MS = 120_000


class Hosts:
    """Two installations of one system: each has its own STATE_DIR, as two machines would."""

    def __init__(self, a: Install, b: Install) -> None:
        self.a, self.b = a, b
        self.store = redis.Redis.from_url(a.redis_url, decode_responses=True)
        for name, each in (("ha", a), ("hb", b)):
            each.env |= {"TASK_MODULES": AGENTS, "HOST_NAME": name, "NOTES_DIR": str(a.notes_dir)}

    def name(self, install: Install) -> str:
        """Return the name of a host whose processes have begun."""
        mark = (install.state_dir / "run" / "host").read_text().strip().rpartition(".")[2]
        return f"{install.env['HOST_NAME']}.{mark}"

    def key(self, name: str, *fields: str) -> Any:
        """Return fields of a key of the doubter, read from Redis: a command each time would take longer than what is waited for."""
        return self.store.hmget(Keys("doubter").key(name), *fields)

    def state(self, name: str) -> str | None:
        return str(self.key(name, "state")[0])

    def wait(self, name: str, state: str, deadline: float = 40) -> None:
        until(lambda: self.state(name) == state, deadline, f"{name} to be {state}")

    def row(self, install: Install, of: Install) -> dict[str, Any]:
        """Return what one host tells of another."""
        [found] = [each for each in install.gate("hosts") if each["host"] == self.name(of)]
        return dict(found)

    def was_seen(self, of: Install, ms_ago: int) -> None:
        """Move the last signs of a host, as the scripts read the server's clock."""
        mark = self.name(of).rpartition(".")[2]
        sign = json.loads(str(self.store.hget(host_signs.key(), mark)))
        for each in (sign, *sign["kinds"].values()):
            each["seen_ms"] = 1000 * int(self.store.time()[0]) - ms_ago
        self.store.hset(host_signs.key(), mark, json.dumps(sign))

    def kill(self, install: Install) -> None:
        """Let a host die at once, with all its processes."""
        for process in install.processes:
            process.kill9()

    def kill_while_sending(self, post_id: str) -> None:
        """Let host A die in the middle of an effect that never reached its provider, before B has a worker."""
        self.a.worker()
        self.a.call("doubter.hesitate", post_id=post_id)
        until((self.a.notes_dir / f"hesitant-{post_id}").exists, 15, "the effect to begin")
        until(lambda: self.store.hexists(host_signs.key(), self.name(self.a).rpartition(".")[2]), 15, "a sign of A")
        self.kill(self.a)


@pytest.fixture
def two(install_on: Callable[[Valkey], Install], valkey: Valkey, effects: EffectServer) -> Iterator[Hosts]:
    made = Hosts(install_on(valkey), install_on(valkey))
    yield made
    made.store.close()


def test_of_a_host_that_is_gone_nothing_is_sent_again_until_a_person_says_so(two: Hosts, effects: EffectServer) -> None:
    two.kill_while_sending("hello")
    worker = two.b.worker()

    # B takes the claim when its lease has ended, and looks the effect up: but nobody proved that A is dead.
    two.wait("hesitant:hello", "unknown")
    until(lambda: len(worker.events("looked up")) >= LOOK_UPS, 30, "more look-ups than prove an absence")
    assert two.state("hesitant:hello") == "unknown"
    assert effects.counts() == {}
    row = two.row(two.b, two.a)
    assert (row["claims"], row["doubts"], row["gone"]) == (0, 1, None)

    unknown = two.b.celery("gate", "host-gone", "nowhere", "--why", "it is not there", "--json")
    assert unknown.returncode == 1
    assert "no host 'nowhere' is known; there are: " in (error := json.loads(unknown.stdout)["error"])
    assert all(two.name(each) in error for each in (two.a, two.b))
    two.was_seen(two.a, 0)  # as before it died: that may be more than a minute ago by now
    refused = two.b.celery("gate", "host-gone", two.name(two.a), "--why", "it burned down", "--json")
    assert refused.returncode == 1
    assert "gave a sign of life" in json.loads(refused.stdout)["error"]
    two.was_seen(two.a, TWO_MINUTES_MS)
    assert two.row(two.b, two.a)["state"] == "silent"
    said = two.b.gate("host-gone", two.name(two.a), "--why", "it burned down")

    assert [(each["key"], each["before"]) for each in said["keys"]] == [("hesitant:hello", "unknown")]
    two.wait("hesitant:hello", "done")
    assert effects.counts() == {"hesitant:hello": 1}
    row = two.row(two.b, two.a)
    assert (row["state"], row["gone"]["why"], row["doubts"]) == ("gone", "it burned down", 0)
    story = two.b.explain("hesitant:hello")["story"]
    assert any("its host is gone: " in str(event.get("why")) for event in story)
    entry = next(each for each in two.b.gate("audit") if each["agent"] == "doubter" and each["what"] == "host-gone")
    assert (entry["subject"], entry["why"], entry["after"]) == (two.name(two.a), "it burned down", "gone")
    journal = "".join(path.read_text() for path in (two.b.state_dir / "journal").glob("*.jsonl"))
    assert "host-gone" in journal

    # A comes back: it is shown as back, and what it claims now is its own.
    two.a.worker()
    assert two.a.answer(two.a.call("doubter.publish", post_id="back"))["ok"]
    row = until(lambda: (it := two.row(two.b, two.a))["state"] == "alive" and it, 15, "A to be back")
    assert row["gone"]["back"] is True
    assert effects.counts() == {"hesitant:hello": 1, "sure:back": 1}


def test_when_the_host_is_back_it_says_itself_that_its_process_died(two: Hosts, effects: EffectServer) -> None:
    two.kill_while_sending("again")
    two.b.worker()
    two.wait("hesitant:again", "unknown")
    two.kill(two.b)

    # A's next worker takes no call, so that what it reports is of its sweeper alone.
    two.a.worker(queues="nobody-sends-here")

    until(lambda: two.key("hesitant:again", "gone") == two.key("hesitant:again", "fence"), 20, "the report of A")
    assert two.state("hesitant:again") == "unknown"
    two.b.worker()
    two.wait("hesitant:again", "done")
    assert effects.counts() == {"hesitant:again": 1}


def test_an_effect_of_the_host_that_arrived_is_found_without_any_word(two: Hosts, effects: EffectServer) -> None:
    effects.mode("delay_after:120")
    two.a.worker()
    two.a.call("doubter.publish", post_id="there")
    effects.wait_in_flight()
    two.kill(two.a)
    effects.release()
    effects.mode("ok")

    two.b.worker()

    two.wait("sure:there", "done")
    assert effects.counts() == {"sure:there": 1}


def test_every_host_shows_every_host_and_every_agent(two: Hosts) -> None:
    for each in (two.a, two.b):
        each.worker()
    two.a.beat()
    two.b.web()
    assert two.a.answer(two.a.call("counter.add", a=1, b=2))["result"] == 3

    def all_told() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = two.b.gate("hosts")
        ours = [each for each in found if each["host"] in (two.name(two.a), two.name(two.b))]
        whole = [each for each in ours if each["clock"] is not None and len(each["processes"]) == 2]
        return whole if len(whole) == 2 else []

    b, a = until(all_told, 30, "both hosts with their clocks")
    assert (a["host"], a["here"], a["processes"]) == (two.name(two.a), False, {"worker": 1, "beat": 1})
    assert (b["host"], b["here"], b["processes"]) == (two.name(two.b), True, {"worker": 1, "web": 1})
    assert {*AGENTS.split(",")} <= {*a["agents"]}
    assert abs(a["clock"]) < 1
    assert a["boot"] == b["boot"], "both run on one machine"

    # Each host has the state of every agent, and says that it wrote it.
    for each in (two.a, two.b):
        until(lambda each=each: each.state("counter")["metrics"]["total_done"] == 1, 5, "the state file")  # type: ignore[misc]
        assert each.state("counter")["written_by"] == two.name(each)

    told = scrape(two.b.web_url)
    assert (told.value("gatehouse_host_last_seen_seconds", host=two.name(two.a)) or 0) < 60
    assert told.value("gatehouse_host_gone", host=two.name(two.a)) == 0

    text = two.b.celery("gate", "hosts").stdout
    assert "this host" in text
    assert "worker, beat" in text
