"""Redis with Sentinel: the primary dies, stands still or is cut off under load, and nothing happens twice or is lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

from state.journal.journal import Journal
from state.ledger import Ledger
from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import GaveUp, Install, Node, RedisGroup, patient, until

pytestmark = pytest.mark.slow

KINDS = ("plain", "mindful", "stepwise", "safe")
OF_EACH_KIND = 12
NAMES = [str(number) for number in range(OF_EACH_KIND)]
KEYS = [f"{kind}:{name}" for kind in KINDS for name in NAMES]
#: Each attempt of an effect sends one, and those in two steps send another.
EFFECTS = [*(key for key in KEYS if not key.startswith("safe")), *(f"box:{name}" for name in NAMES)]
AGENT = Keys("straggler")
ENDED = {"done", "held", "rejected", "cancelled"}


@pytest.fixture
def group() -> Iterator[RedisGroup]:
    found = RedisGroup(password="p@ss:w/rd").start()
    yield found
    found.close()


@pytest.fixture
def house(group: RedisGroup, tmp_path: Path, effects: EffectServer) -> Iterator[Install]:
    made = Install(tmp_path, group.url, task_modules=("straggler", "counter"), env={"EFFECTS_URL": effects.base_url})
    yield made
    made.close()


def register(house: Install, group: RedisGroup) -> None:
    """Accept the calls, and let the replica know of them before anything happens."""
    house.python(f"[app.tasks['straggler.' + kind].delay(name=name) for name in {NAMES} for kind in {KINDS}]")
    group.wait_for_replica()


def states(node: Node) -> Counter[str | None]:
    with node.client().pipeline(transaction=False) as pipe:
        for key in KEYS:
            pipe.hget(AGENT.key(key), "state")
        return Counter(pipe.execute())


def why_closed(house: Install, node: Node) -> str | None:
    ledger = Ledger(node.client(), Journal(house.state_dir / "journal"))
    return ledger.statuses([AGENT.agent])[AGENT.agent].closed


def wait_for_the_end(house: Install, node: Node) -> None:
    """Wait until every call has ended; where the new primary lost writes, do what `gate doctor` says."""

    def is_over() -> bool:
        if not any(each.alive for each in house.processes):
            raise GaveUp("every worker has ended")
        if why_closed(house, node):
            house.gate("recover")
        return set(states(node)) <= ENDED

    until(is_over, 60, "every call to end")


@pytest.mark.parametrize(
    ("how", "concurrency"), [("kill9", 2 * len(KEYS)), ("pause", 16)], ids=["killed", "stands still"]
)
@pytest.mark.timeout(240)
def test_a_primary_that_dies_or_stands_still_costs_no_call_and_doubles_none(
    group: RedisGroup, house: Install, effects: EffectServer, how: str, concurrency: int
) -> None:
    """A worker with its hands full, and one that waits for a message while it runs others: kombu's own channel ends it."""
    register(house, group)
    worker = house.worker(concurrency=concurrency)
    until(lambda: len(effects.counts()) >= 8, 30, "the stream to flow")
    before = group.primary()

    getattr(before, how)()
    after = group.wait_for_failover(before)

    wait_for_the_end(house, after)
    assert states(after) == {"done": len(KEYS)}
    assert effects.counts() == dict.fromkeys(EFFECTS, 1)
    assert worker.alive
    assert house.answer(house.call("counter.add", a=1, b=2))["result"] == 3


@pytest.mark.timeout(240)
def test_an_old_primary_that_is_still_written_to_sends_nothing_twice(
    group: RedisGroup, house: Install, effects: EffectServer
) -> None:
    """The sentinels lose the primary, one worker does not: until it is healed, two workers have two servers with the same calls."""
    register(house, group)
    left_behind = house.worker(concurrency=8)
    until(lambda: len(effects.counts()) >= 4, 30, "the stream to flow")
    before = group.primary()

    group.cut_off(before)
    after = group.wait_for_failover(before)
    house.worker(concurrency=8)
    until(lambda: house.answer(house.call("counter.add", a=1, b=2))["ok"], what="the new primary to be used")
    assert before.client().info("replication")["role"] == "master", "it was still written to meanwhile"
    group.heal(before)
    until(lambda: before.client().info("replication")["role"] == "slave", 30, "the old primary to follow")

    assert left_behind.alive
    # What it settled on the old primary is lost, so the new one has its claims: they end with its death, or their leases.
    left_behind.kill9()

    wait_for_the_end(house, after)
    assert max(effects.counts().values()) == 1
    assert set(effects.counts()) <= set(EFFECTS)
    house.gate("recover")
    assert states(after)["done"] + states(after)["held"] == len(KEYS)


def test_every_process_and_command_reaches_the_primary(group: RedisGroup, house: Install) -> None:
    worker = house.worker("prefork", concurrency=2)
    house.beat()
    house.web()
    flower = house.flower()

    assert house.answer(house.call("counter.add", a=1, b=2))["result"] == 3
    assert house.gate("status")
    opener = build_opener(ProxyHandler({}))
    with opener.open(f"{house.flower_url}/api/queues/length", timeout=patient(20)) as answer:
        assert json.load(answer)["active_queues"]
    for process in house.processes:
        assert "p@ss" not in process.output
        assert process.alive
    assert worker.alive
    assert flower.alive


def findings(house: Install) -> dict[str, dict[str, Any]]:
    done = house.celery("gate", "doctor", "--json")
    return {each["check"]: each for each in json.loads(done.stdout)}


def test_doctor_names_the_primary_and_its_replica_and_what_is_missing(group: RedisGroup, house: Install) -> None:
    primary, replica = group.primary(), group.other(group.primary())

    found = findings(house)

    assert found["redis sentinels"]["found"] == f"3 of 3 answer, quorum 2; primary 127.0.0.1:{primary.port}"
    assert found["redis replicas"]["found"].startswith(f"127.0.0.1:{replica.port}, at most ")
    assert not found["redis min-replicas"]["ok"]

    primary.client().config_set("min-replicas-to-write", 1)
    replica.kill9()
    group.sentinels[0].kill9()
    until(lambda: not primary.client().info("replication")["connected_slaves"], what="the replica to be missed")

    found = findings(house)
    assert found["redis sentinels"]["found"].startswith("2 of 3 answer")
    assert not found["redis sentinels"]["ok"]
    assert not found["redis replicas"]["ok"]
    assert found["redis min-replicas"]["ok"]
