"""A Redis Cluster as the ledger: a primary dies, or hands a slot on, under load; nothing happens twice or is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.journal.journal import Journal
from state.ledger import Ledger
from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import GaveUp, Install, Valkey, until
from tests.harness.redis_cluster import RedisCluster

pytestmark = pytest.mark.slow

KINDS = ("plain", "mindful", "stepwise", "safe")
OF_EACH_KIND = 10
NAMES = [str(number) for number in range(OF_EACH_KIND)]
KEYS = [f"{kind}:{name}" for kind in KINDS for name in NAMES]
#: Each attempt of an effect sends one, and those in two steps send another.
EFFECTS = [*(key for key in KEYS if not key.startswith("safe")), *(f"box:{name}" for name in NAMES)]
AGENT, OTHER = Keys("straggler"), Keys("counter")
#: Effects that are on their way when a slot begins to move.
IN_FLIGHT = 4
#: Seconds between two steps of a move: workers find the keys of one script on both servers meanwhile.
MOMENT = 0.1
ENDED = {"done", "held", "rejected", "cancelled"}


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    found = RedisCluster()
    try:
        yield found.start()
    finally:
        found.close()


@pytest.fixture
def house(cluster: RedisCluster, valkey: Valkey, tmp_path: Path, effects: EffectServer) -> Iterator[Install]:
    env = {"EFFECTS_URL": effects.base_url, "BROKER_URL": valkey.url}
    made = Install(tmp_path, cluster.url, task_modules=("straggler", "counter"), env=env)
    yield made
    made.close()


def states(house: Install) -> Counter[str | None]:
    with house._redis.pipeline(transaction=False) as pipe:
        for key in KEYS:
            pipe.hget(AGENT.key(key), "state")
        return Counter(pipe.execute())


def wait_for_the_end(house: Install) -> bool:
    """Wait until every call has ended; where the new primary lost writes, do what `gate doctor` says.

    Returns:
        Whether a recovery was necessary; it begins an epoch for every agent.

    """
    ledger = Ledger(house._redis, Journal(house.state_dir / "journal"))
    recovered = False

    def is_over() -> bool:
        nonlocal recovered
        if not any(each.alive for each in house.processes):
            raise GaveUp("every worker has ended")
        statuses = ledger.statuses([AGENT.agent, OTHER.agent])
        if not statuses[OTHER.agent].is_sound:
            raise GaveUp(f"the agent of another primary lost nothing: {statuses[OTHER.agent]}")
        if statuses[AGENT.agent].closed:
            house.gate("recover")
            recovered = True
        return set(states(house)) <= ENDED

    until(is_over, 90, "every call to end")
    return recovered


@pytest.mark.timeout(300)
def test_a_primary_that_dies_costs_no_call_and_doubles_none(
    cluster: RedisCluster, house: Install, effects: EffectServer
) -> None:
    worker = house.worker(concurrency=8)
    assert house.answer(house.call("counter.capped", n=1))["ok"]
    house.python(f"[app.tasks['straggler.' + kind].delay(name=name) for name in {NAMES} for kind in {KINDS}]")
    until(cluster.is_replicated, 30, "the replicas to know of the calls")
    until(lambda: len(effects.counts()) >= 8, 30, "the stream to flow")
    before, opened, of_other = (
        cluster.primary_of(AGENT.ledger),
        house._redis.hmget(AGENT.ledger, "epoch", "run"),
        house._redis.hmget(OTHER.ledger, "epoch", "run"),
    )
    assert before is not cluster.primary_of(OTHER.ledger), "the two agents have to be on two primaries"

    before.kill9()
    cluster.wait_for_failover(before, AGENT.ledger)

    recovered = wait_for_the_end(house)
    assert states(house) == {"done": len(KEYS)}
    assert effects.counts() == dict.fromkeys([*EFFECTS, "capped:1"], 1)
    assert worker.alive
    until(
        lambda: not {*opened} & {*house._redis.hmget(AGENT.ledger, "epoch", "run")},
        30,
        "the new primary to be compared",
    )  # a sweep does it too, if every effect had ended before the kill
    if not recovered:
        assert house._redis.hmget(OTHER.ledger, "epoch", "run") == of_other, "another primary's agent was left alone"
    assert house.answer(house.call("counter.add", a=1, b=2))["result"] == 3


@pytest.mark.timeout(300)
def test_a_slot_that_is_moved_there_and_back_costs_no_call_and_doubles_none(
    cluster: RedisCluster, house: Install, effects: EffectServer
) -> None:
    worker = house.worker(concurrency=8)
    here = cluster.primary_of(AGENT.ledger)
    there = next(node for node in cluster.primaries() if node is not here)

    for names, target in ((NAMES[::2], there), (NAMES[1::2], here)):
        effects.mode("delay:2")
        house.python(f"[app.tasks['straggler.' + kind].delay(name=name) for name in {names} for kind in {KINDS}]")
        until(lambda: len(effects.waiting()) >= IN_FLIGHT, 30, "effects to be on their way")
        cluster.move_slot(AGENT.ledger, target, lambda: time.sleep(MOMENT))
        assert cluster.primary_of(AGENT.ledger) is target
        effects.mode("ok")

    wait_for_the_end(house)
    assert states(house) == {"done": len(KEYS)}
    assert effects.counts() == dict.fromkeys(EFFECTS, 1)
    assert worker.alive
    assert not worker.events("effects are closed"), "it is known that the slot was moved, and that nothing is lost"
