"""Redis loses data under a real worker: noticed before anything is sent twice, and `gate recover` mends it.

The effect server is the judge: whatever is lost, each key has one effect in the end.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from state.journal import records
from state.redis.keys import Keys
from tests.conftest import MADE, a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install, Process, Valkey, until
from tests.harness.ports import free_ports
from tests.harness.shell import Shell

pytestmark = pytest.mark.slow

AGENT, TASK = "storyteller", "storyteller.publish"
N = Keys(AGENT)
#: Enough for a recovery of about a second.
PADDING = 20_000


@dataclass
class Home:
    """An installation on a server that will lose something: one key done, one in doubt, one call that has not begun."""

    install: Install
    server: Valkey
    effects: EffectServer
    calls: dict[str, str] = field(default_factory=dict)
    _shell: Shell | None = None

    @property
    def store(self) -> redis.Redis:
        return redis.Redis.from_url(self.install.redis_url, decode_responses=True)

    @property
    def shell(self) -> Shell:
        """A process that stays, and has lived before the loss."""
        self._shell = self._shell or Shell(self.install)
        return self._shell

    def close(self) -> None:
        if self._shell:
            self._shell.close()
        self._shell = None

    def live(self) -> None:
        """Make the done key and the doubt, stop the worker, and leave a call that nobody takes."""
        worker = self.install.worker()
        self.effects.mode("apply_then_drop", "story:doubt")
        self.publish("done", "doubt")
        assert self.install.answer(self.calls["done"])["ok"]
        assert self.install.result(self.calls["doubt"])["status"] == "FAILURE"
        worker.terminate()
        self.publish("queued")

    def publish(self, *posts: str) -> list[str]:
        ids = self.shell.delay(TASK, *({"post_id": post} for post in posts))
        self.calls |= dict(zip(posts, ids, strict=True))
        return ids

    def state(self, post: str) -> str:
        return str(self.store.hget(N.key(f"story:{post}"), "state"))

    def effects_of(self, *posts: str) -> dict[str, int]:
        return {post: self.effects.count(f"story:{post}") for post in posts}

    def hurry(self) -> None:
        """What waits need not wait."""
        for call in self.store.zrange(N.waiting, 0, -1):
            self.store.zadd(N.waiting, {call: 1}, xx=True)

    def ends(self, post: str, state: str = "done") -> None:
        def ended() -> bool:
            self.hurry()
            return self.state(post) == state

        until(ended, 40, f"story:{post} to be {state}")

    def is_closed(self, *, but_for: str = "") -> None:
        """No effect happens, but for that of one key which may have run before; everything else goes on."""
        before = self.effects.counts()
        for post, name in (("done", "done again"), ("fresh", "fresh")):
            [self.calls[name]] = self.shell.delay(TASK, {"post_id": post})
            answer = self.install.answer(self.calls[name])
            assert (answer["error"], answer["stage"]) == ("effects are closed", "ledger"), answer
            assert answer["deferred"] is True
            assert answer["next"].endswith("gatehouse recover")
        [safe] = self.shell.delay("counter.add", {"a": 1, "b": 2})
        assert self.install.answer(safe)["result"] == 3
        assert self.effects.counts() | {f"story:{but_for}": 1} == before | {f"story:{but_for}": 1}

    def recover(self) -> dict[str, Any]:
        done = self.install.celery("gate", "recover", "--json", deadline=60)
        assert done.returncode == 0, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def all_is_well(self) -> None:
        """What was done stays done, what was in doubt stays so, and what waited runs once."""
        for post in ("queued", "fresh", "done"):
            self.ends(post)
        self.publish("done", "doubt")
        assert self.install.answer(self.calls["done"])["replayed"] is True
        assert self.install.answer(self.calls["doubt"])["error"] == "outcome unknown"
        assert self.effects_of("done", "doubt", "queued", "fresh") == {"done": 1, "doubt": 1, "queued": 1, "fresh": 1}
        assert self.state("doubt") == "unknown"
        held = self.shell.gate("held")
        assert [(entry["key"], entry["state"]) for entry in held] == [("story:doubt", "unknown")]


@pytest.fixture
def home(request: pytest.FixtureRequest, tmp_path: Path, effects: EffectServer) -> Iterator[Home]:
    server = a_valkey(aof=True)
    [port] = free_ports(1)
    server.client().config_set("port", port)  # a name that another server can take over
    install = Install(tmp_path / "home", f"redis://127.0.0.1:{port}/0", env={"EFFECTS_URL": effects.base_url})
    request.node.stash[MADE] = [install]
    made = Home(install, server, effects)
    yield made
    made.close()
    install.close()
    server.close()


# What can be lost


def flush_all(home: Home) -> None:
    home.store.flushall()


def flush_one_database(home: Home) -> None:
    home.store.flushdb()


def delete_the_ledger(home: Home) -> None:
    home.store.delete(N.ledger)


def delete_one_key(home: Home) -> None:
    home.store.delete(N.key("story:done"))


def evict(home: Home) -> None:
    """A server with another policy than ours, and too little memory."""
    store = home.store
    store.config_set("maxmemory-policy", "allkeys-random")

    def is_gone() -> bool:
        memory = store.info("memory")
        store.config_set("maxmemory", int(memory["used_memory"]) - int(memory["mem_not_counted_for_evict"]) - 1000)
        return not store.exists(N.key("story:done"))

    until(is_gone, 20, "the key to be evicted")
    store.config_set("maxmemory", 0)
    store.config_set("maxmemory-policy", "noeviction")


def look_into_another_database(home: Home) -> None:
    home.close()
    home.install.env["REDIS_URL"] = home.install.redis_url = home.install.redis_url.replace("/0", "/1")
    home.install._redis = redis.Redis.from_url(home.install.redis_url, decode_responses=True)


#: Each happens after `live`, while no worker runs. A lost key is noticed when it is asked for, so `queued` may run first.
PARTIAL = (delete_one_key, evict)
LOSSES: dict[str, Callable[[Home], None]] = {
    "FLUSHALL": flush_all,
    "FLUSHDB": flush_one_database,
    "the ledger deleted": delete_the_ledger,
    "a key deleted": delete_one_key,
    "keys evicted": evict,
    "another database": look_into_another_database,
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_a_loss_is_noticed_before_any_effect_and_mended(home: Home, lose: Callable[[Home], None]) -> None:
    home.live()

    lose(home)

    home.install.worker()
    home.is_closed(but_for="queued" if lose in PARTIAL else "")
    report = home.recover()
    assert AGENT in report["epochs"]  # an agent whose call a sweep saw open has one too
    home.all_is_well()


# A server that falls back


def aof_of(server: Valkey) -> Path:
    return server.folder / "appendonlydir"


def newest_part(server: Valkey) -> Path:
    return max(aof_of(server).glob("*.incr.aof"))


def start_again(home: Home, port: str) -> None:
    home.server.start()
    home.server.client().config_set("port", port)


def test_an_older_copy_of_the_data_is_noticed_and_mended(home: Home) -> None:
    worker = home.install.worker()
    home.publish("first")
    home.install.answer(home.calls["first"])
    worker.terminate()
    copy, port = home.server.folder / "copy", home.store.config_get("port")["port"]
    shutil.copytree(aof_of(home.server), copy)
    home.live()
    home.server.kill9()
    shutil.rmtree(aof_of(home.server))
    copy.rename(aof_of(home.server))
    start_again(home, port)

    home.install.worker()
    home.is_closed()
    report = home.recover()

    assert report["rebuilt"]["done"] == 1
    assert report["kept"] >= 1
    home.all_is_well()
    assert home.effects_of("first") == {"first": 1}


def test_a_truncated_file_of_the_server_is_noticed_and_mended(home: Home) -> None:
    """The machine lost power: the end of the file is missing, and half a command stands there."""
    worker = home.install.worker()
    home.publish("first")
    home.install.answer(home.calls["first"])
    worker.terminate()
    port, size = home.store.config_get("port")["port"], newest_part(home.server).stat().st_size
    home.live()
    home.server.kill9()
    with newest_part(home.server).open("r+b") as file:
        file.truncate(size + 7)
    start_again(home, port)

    home.install.worker()
    home.is_closed()
    home.recover()

    home.all_is_well()
    assert home.effects_of("first") == {"first": 1}


@pytest.fixture
def replica(home: Home) -> Iterator[Valkey]:
    other = a_valkey(aof=True)
    other.client().replicaof("127.0.0.1", home.store.config_get("port")["port"])
    until(lambda: other.client().info("replication")["master_link_status"] == "up", 20, "the replica to follow")
    yield other
    other.close()


def fail_over(home: Home, replica: Valkey) -> None:
    """The first server is gone, and its name leads to the other one."""
    port = home.store.config_get("port")["port"]
    home.server.kill9()
    until(lambda: replica.client().config_set("port", port), 10, "the port to be free")


def test_a_replica_that_missed_writes_is_noticed_and_mended(home: Home, replica: Valkey) -> None:
    replica.client().replicaof("NO", "ONE")
    home.live()
    fail_over(home, replica)

    home.install.worker()
    home.is_closed()
    home.recover()

    home.all_is_well()


def test_a_replica_that_missed_nothing_takes_over_and_effects_go_on_by_themselves(home: Home, replica: Valkey) -> None:
    home.live()
    until(lambda: replica.client().exists(N.call(home.calls["queued"])), 10, "the replica to have all")
    replica.client().replicaof("NO", "ONE")
    fail_over(home, replica)

    home.install.worker()
    home.publish("fresh")

    home.all_is_well()


@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_a_restart_without_loss_needs_nobody(home: Home, how: str) -> None:
    home.live()
    home.install.worker()
    home.ends("queued")
    port = home.store.config_get("port")["port"]
    home.server.end(how)
    start_again(home, port)

    home.publish("fresh")

    assert home.install.answer(home.calls["fresh"], deadline=10)["ok"]
    home.all_is_well()


# The recovery itself


def pad(home: Home) -> None:
    """A journal of some size: effects of long ago, all of them done."""
    folder = home.install.state_dir / "journal"
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(PADDING):
        which = {"agent": AGENT, "key": f"story:old-{number}", "call": f"old-{number}", "fence": 1}
        asked = {"task": TASK, "kwargs": {"post_id": f"old-{number}"}, "fingerprint": "f", "door": "beat"}
        lines.append(records.encode("intent", which | {"epoch": "old", "owner": "o/1", "payload": "x"} | asked))
        lines.append(records.encode("outcome", which | {"outcome": "done", "result": {"result": {}, "rung": None}}))
    (folder / "2020-01.jsonl").write_bytes(b"".join(lines))


@pytest.fixture
def padded(home: Home) -> Home:
    pad(home)
    home.live()
    return home


def recovery(home: Home) -> Process:
    command = [sys.executable, "-m", "celery", "-A", "workers", "gate", "recover", "--json"]
    return home.install.start("recover", command)


def half_way(home: Home, lose: Callable[[Home], object]) -> Process:
    """Lose something, and return a recovery that was stopped half-way; where it ended before it was stopped, do both again."""

    def stopped() -> Process | None:
        lose(home)
        recovering = recovery(home)
        until(lambda: home.store.exists(N.key("story:old-3000")), 40, "the recovery to be half-way")
        recovering.pause()
        if not home.store.exists(N.key(f"story:old-{PADDING - 1}")):
            return recovering
        recovering.kill9()
        return None

    return until(stopped, 60, "a recovery that is stopped half-way")


def test_a_flush_in_the_middle_of_a_recovery_leaves_effects_closed(padded: Home) -> None:
    recovering = half_way(padded, flush_all)
    padded.store.flushall()
    recovering.resume()

    assert recovering.wait(40) == 1
    assert "lost data again while it was being rebuilt" in recovering.output
    padded.install.worker()
    padded.is_closed()
    assert padded.recover()["rebuilt"]["done"] == PADDING + 1
    padded.all_is_well()


def delete_two_keys(home: Home) -> None:
    home.store.delete(*(N.key(f"story:old-{number}") for number in (3000, PADDING - 1)))


@pytest.mark.parametrize("lose", [flush_all, delete_two_keys], ids=["after a flush", "on a sound ledger"])
def test_a_recovery_that_is_killed_leaves_effects_closed_and_can_be_run_again(
    padded: Home, lose: Callable[[Home], object]
) -> None:
    half_way(padded, lose).kill9()

    padded.install.worker()
    padded.is_closed()
    report = padded.recover()
    assert report["kept"] > 0
    padded.all_is_well()


def test_a_recovery_that_is_interrupted_says_how_to_go_on(padded: Home) -> None:
    recovering = half_way(padded, flush_all)
    recovering._signal(signal.SIGINT)
    recovering.resume()

    assert recovering.wait(20) != 0
    padded.install.worker()
    padded.is_closed()


def test_to_recover_twice_does_no_harm(home: Home) -> None:
    home.live()
    home.store.flushall()
    home.install.worker()

    first, second = home.recover(), home.recover()

    assert first["rebuilt"] == {"done": 1, "unknown": 1}
    assert first["calls"] == 1
    assert second["rebuilt"].get("done") is None
    assert first["epochs"] != second["epochs"]
    home.publish("fresh")
    home.all_is_well()


def test_to_recover_while_workers_are_busy_loses_and_doubles_nothing(home: Home) -> None:
    home.install.worker(n=2)
    home.effects.mode("delay:0.2")
    posts = [f"busy-{number}" for number in range(40)]
    for first in range(0, 40, 10):
        home.publish(*posts[first : first + 10])
        assert home.recover()["epochs"]

    for post in posts:
        home.ends(post)
    assert home.effects_of(*posts) == dict.fromkeys(posts, 1)


def test_two_recoveries_at_once_end_with_an_open_ledger(padded: Home) -> None:
    padded.store.flushall()
    first, second = recovery(padded), recovery(padded)

    assert [first.wait(60), second.wait(60)] == [0, 0], first.output + second.output

    padded.install.worker()
    padded.publish("fresh")
    padded.all_is_well()


def test_recover_says_what_it_did(home: Home) -> None:
    home.live()
    home.store.flushall()

    said = home.install.celery("gate", "recover")

    assert said.returncode == 0, said.stderr
    assert f"records of {AGENT}; effects are open again" in said.stdout
    assert (
        "  1 keys are done again\n  1 keys are unknown again\n  1 calls that had not begun wait again\n" in said.stdout
    )
    assert "gatehouse held" in said.stdout
    assert "recover" in said.stderr
