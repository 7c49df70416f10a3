"""A Redis Cluster is the ledger where its URL says so; else it is refused. The keys of each script share one slot on a real one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy import redis_server
from deploy.redis_server import ServerError
from state.redis.keys import Keys
from state.redis.lua import REST
from state.redis.script import Script
from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until
from tests.harness.install import ROOT
from tests.harness.redis_cluster import RedisCluster

pytestmark = pytest.mark.slow

LEDGER = Keys("counter").ledger
SENTENCE = "this server is part of a Redis Cluster, and its URL does not say so; write redis+cluster:// in REDIS_URL"
SCRIPTS = {path.stem for path in (ROOT / "state" / "scripts").glob("*.lua")}
#: Scripts whose keys belong to no agent, but to a provider, a source, an id or the house.
OF_NO_AGENT = {"forbid", "permit", "report", "sign", "throttle"}
#: Tests that together run every other script, and touch nothing but one agent.
OF_ONE_AGENT = (
    "admit", "ask", "begin_effect", "cancel", "checkpoint", "dead", "executions", "pause", "past", "reclaim", "reconcile", "renew", "budget",
    "replay", "resend", "resolve", "settle", "takeover", "withdraw",
)  # fmt: skip
SINGLE = (
    "tests/scripts/test_clock_set_back.py::test_one_caller_is_told_and_it_is_over",
    "tests/scripts/test_reject.py::test_a_call_that_nobody_knew_is_written_down_as_rejected",
    "tests/scripts/test_waiting.py::test_the_order_is_there_after_the_loss_of_redis",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    made = RedisCluster().start()
    yield made
    made.close()


def test_a_cluster_is_refused_before_anything_starts(cluster: RedisCluster) -> None:
    with pytest.raises(ServerError, match=re.escape(f"REDIS_URL: {SENTENCE}")):
        redis_server.check_reachable(f"redis://127.0.0.1:{cluster.nodes[0].port}/0")


@pytest.mark.parametrize("variable", ["REDIS_URL", "BROKER_URL"])
def test_a_worker_ends_with_a_sentence(cluster: RedisCluster, install: Install, variable: str) -> None:
    install.env[variable] = f"redis://127.0.0.1:{cluster.nodes[0].port}/0"

    worker = install.start("worker", [sys.executable, "-m", "celery", "-A", "workers", "worker", "--pool", "threads"])

    assert worker.wait(30) != 0
    assert f"gatehouse: {SENTENCE}" in worker.output


def test_doctor_says_it(cluster: RedisCluster, install: Install) -> None:
    install.env["REDIS_URL"] = f"redis://127.0.0.1:{cluster.nodes[0].port}/0"

    done = install.celery("gate", "doctor")

    assert done.returncode == 1
    assert SENTENCE in done.stderr


def empty(cluster: RedisCluster) -> None:
    for node in cluster.primaries():
        node.client().flushall()


@pytest.fixture
def house(cluster: RedisCluster, valkey: Valkey, tmp_path: Path, effects: EffectServer) -> Iterator[Install]:
    empty(cluster)
    env = {"EFFECTS_URL": effects.base_url, "BROKER_URL": valkey.url}
    made = Install(tmp_path, cluster.url, task_modules=("counter", "storyteller"), env=env)
    yield made
    made.close()


def test_every_process_and_command_works_with_a_cluster(
    cluster: RedisCluster, house: Install, effects: EffectServer
) -> None:
    """The agents are on two primaries, and the house is on the third."""
    worker = house.worker(concurrency=2)
    house.beat()
    house.web()
    flower = house.flower()
    until(cluster.is_replicated, 30, "the replicas to follow")

    assert house.answer(house.call("counter.add", a=1, b=2))["result"] == 3
    assert house.answer(house.call("counter.capped", n=1))["ok"]
    assert house.answer(house.call("counter.capped", n=1))["replayed"]
    assert effects.counts() == {"capped:1": 1}

    assert {each["agent"] for each in house.gate("status")} >= {"counter", "storyteller", "publisher"}
    assert "counter" in {each["agent"] for each in house.gate("list", "--state", "done")}
    assert house.gate("explain", "capped:1")["state"] == "done"
    house.gate("pause", "counter", "--why", "a test")
    house.gate("resume", "counter")
    assert house.gate("hosts")
    assert house.gate("held") == []
    house.gate("recover")
    assert house.answer(house.call("counter.capped", n=2))["ok"]
    assert effects.counts() == {"capped:1": 1, "capped:2": 1}
    # A node that a busy machine kept from answering may be missing for a moment.
    until(lambda: findings(house)["redis cluster"]["found"] == "3 primaries, 3 replicas", 30, "each replica to be seen")
    found = findings(house)
    assert str(found["redis full coverage"]["found"]).startswith("cluster-require-full-coverage no: ")
    assert found["redis min-replicas"]["found"] == "0 to write"
    assert found["effects"]["ok"]
    assert worker.alive
    assert flower.alive


def findings(house: Install) -> dict[str, dict[str, object]]:
    return {each["check"]: each for each in json.loads(house.celery("gate", "doctor", "--json").stdout)}


@pytest.fixture
def settings_of(cluster: RedisCluster) -> Iterator[Callable[..., None]]:
    """Change settings of one primary, until the test is over."""
    node, before = cluster.primaries()[0], dict[str, str]()

    def change(name: str, value: str) -> None:
        before[name] = str(node.client().config_get(name)[name])
        node.client().config_set(name, value)

    yield change
    for name, value in before.items():
        node.client().config_set(name, value)


def test_doctor_says_that_the_loss_of_one_primary_stops_every_agent(
    cluster: RedisCluster, house: Install, settings_of: Callable[..., None]
) -> None:
    settings_of("cluster-require-full-coverage", "yes")

    found = findings(house)["redis full coverage"]

    place = f"127.0.0.1:{cluster.primaries()[0].port}"
    assert f"yes on {place}: while any primary is away, the calls of all agents wait" in str(found["found"])
    assert found["change"] == "set cluster-require-full-coverage no on each node"


@pytest.mark.parametrize(
    ("least", "says"),
    [
        ("1", "when one of them is lost or takes over, the calls of its agents wait"),
        ("2", "refuses writes (NOREPLICAS)"),
    ],
)
def test_doctor_says_when_a_primary_refuses_writes_for_want_of_replicas(
    cluster: RedisCluster, house: Install, settings_of: Callable[..., None], least: str, says: str
) -> None:
    settings_of("min-replicas-to-write", least)

    found = findings(house)["redis min-replicas"]

    assert says in str(found["found"])
    assert f"127.0.0.1:{cluster.primaries()[0].port}" in str(found["found"])
    assert not found["ok"]


def test_doctor_says_that_a_slot_is_neither_here_nor_there(cluster: RedisCluster, house: Install) -> None:
    """`redis-cli --cluster reshard` that dies leaves one so, and the calls of its agents wait."""
    slot, here = cluster.slot_of(LEDGER), cluster.primary_of(LEDGER)
    there = next(node for node in cluster.primaries() if node is not here)
    cluster.open_slot(LEDGER, there)
    try:
        found = findings(house)["redis cluster"]
    finally:
        for node in (here, there):
            node.client().execute_command("CLUSTER", "SETSLOT", slot, "STABLE")

    assert "one slot is being moved: the calls of their agents wait" in str(found["found"])
    assert "redis-cli --cluster fix 127.0.0.1:" in str(found["change"])


def test_a_drill_is_refused_where_nothing_could_carry_its_messages(house: Install) -> None:
    house.env["BROKER_URL"] = "amqp://user:password@127.0.0.1:1/"

    done = house.celery("gate", "drill")

    assert done.returncode == 1
    assert done.stderr.startswith("a drill sends its messages through Redis, and a cluster cannot carry them")
    assert not list(house.state_dir.rglob("drill-*"))


def test_a_cluster_that_lost_everything_is_rebuilt_and_sends_nothing_again(
    cluster: RedisCluster, house: Install, effects: EffectServer
) -> None:
    worker = house.worker(concurrency=2)
    assert house.answer(house.call("counter.capped", n=3))["ok"]

    empty(cluster)
    until(lambda: "effects are closed" in worker.output, 30, "the loss to be noticed")
    house.gate("recover")

    assert house.answer(house.call("counter.capped", n=3))["replayed"]
    assert house.answer(house.call("counter.capped", n=4))["ok"]
    assert effects.counts() == {"capped:3": 1, "capped:4": 1}


def keys_of_runs(folder: Path, *tests: str, **env: str) -> dict[str, list[list[str]]]:
    """Run tests of the scripts, which must pass; return the keys of each run of each script."""
    file = folder / "keys.json"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "tests.harness.on_cluster", *tests]
    environment = {**os.environ, "KEYS_OF_RUNS": str(file), **env}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    found: dict[str, list[list[str]]] = json.loads(file.read_text())
    return found


def has_several_keys(script: str) -> bool:
    keys = Script(script).keys
    return len(keys) > 1 or keys[0].endswith(REST)


def check_slots(cluster: RedisCluster, runs: dict[str, list[list[str]]]) -> None:
    """Let a node say the slot of every key: those of one run are the same."""
    for name, each in runs.items():
        for keys in each:
            with cluster.nodes[0].client().pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.execute_command("CLUSTER", "KEYSLOT", key)
                slots = dict(zip(keys, pipe.execute(), strict=True))
            assert len(set(slots.values())) == 1, f"{name}.lua: {slots}"


def test_every_script_of_an_agent_runs_on_the_node_that_has_its_keys(cluster: RedisCluster, tmp_path: Path) -> None:
    tests = [f"tests/scripts/test_{name}.py" for name in OF_ONE_AGENT]

    runs = keys_of_runs(tmp_path, *tests, *SINGLE)

    assert {name for name in SCRIPTS if has_several_keys(name)} - OF_NO_AGENT <= runs.keys()
    check_slots(cluster, {name: keys[:200] for name, keys in runs.items()})


def test_the_keys_of_every_other_script_share_one_slot_too(cluster: RedisCluster, tmp_path: Path) -> None:
    tests = [f"tests/scripts/test_{name}.py" for name in ("providers", "throttle", "revoke", "format")]

    runs = keys_of_runs(tmp_path, *tests, ON_ONE_SERVER="1")

    assert runs.keys() >= OF_NO_AGENT
    check_slots(cluster, {name: runs[name] for name in OF_NO_AGENT})
