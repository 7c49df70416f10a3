"""Workers that die at the worst moment, and workers that want the same key."""

from __future__ import annotations

import pytest

from tests.effects.client import EffectServer
from tests.harness import Install, until

#: Death is noticed by an expired lease and a free lock file, then the sweeper acts.
RECOVERY = 60.0

POOLS = [("threads", 4), pytest.param("prefork", 2, marks=pytest.mark.slow)]


def state_of(install: Install, key: str) -> str:
    return str(install.explain(key)["state"])


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_a_worker_killed_after_its_effect_leaves_the_key_unknown_and_one_effect(
    install: Install, effects: EffectServer, pool: str, concurrency: int
) -> None:
    effects.mode("delay_after:120")
    worker = install.worker(pool, concurrency)
    install.delay("storyteller.publish", {"post_id": "cut"})
    effects.wait_in_flight(1)

    worker.kill9()
    effects.mode("ok")
    effects.release()
    install.worker(pool, concurrency)

    until(lambda: state_of(install, "story:cut") == "unknown", RECOVERY, "the key to stand unknown")
    assert effects.counts() == {"story:cut": 1}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_effect_that_arrives_after_its_worker_was_killed_stays_the_only_one(
    install: Install, effects: EffectServer
) -> None:
    effects.mode("delay:120")
    worker = install.worker()
    install.delay("storyteller.publish", {"post_id": "late"})
    effects.wait_in_flight(1)

    worker.kill9()
    effects.mode("ok")
    install.worker()
    until(lambda: state_of(install, "story:late") == "unknown", RECOVERY, "the key to stand unknown")
    assert effects.count("story:late") == 0
    effects.release()

    until(lambda: effects.count("story:late") == 1, what="the late effect")
    again = install.answer(install.call("storyteller.publish", post_id="late"))
    assert not again["ok"]
    assert state_of(install, "story:late") == "unknown"
    assert effects.arrived("story:late") == 1


@pytest.mark.timeout(180)
def test_a_key_that_stands_unknown_is_refused_at_every_door(install: Install, effects: EffectServer) -> None:
    effects.mode("apply_then_reset", key="story:torn")
    install.worker()
    first = install.result(install.call("storyteller.publish", post_id="torn"))
    assert first["status"] == "FAILURE"

    again = install.answer(install.call("storyteller.publish", post_id="torn"))
    directly = install.json_of("import json, storyteller\nprint(json.dumps(storyteller.publish(post_id='torn')))")

    assert not again["ok"]
    assert not directly["ok"]
    assert state_of(install, "story:torn") == "unknown"
    assert effects.arrived("story:torn") == 1


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_a_worker_killed_before_the_effect_is_replaced_and_the_post_goes_out_once(
    install: Install, effects: EffectServer, pool: str, concurrency: int
) -> None:
    worker = install.worker(pool, concurrency)
    [call] = install.delay("storyteller.publish_carefully", {"post_id": "again"})
    until((install.notes_dir / "careful-again").exists, what="the first attempt to begin")

    worker.kill9()
    assert effects.arrived() == 0
    install.worker(pool, concurrency)

    answer = install.answer(call, RECOVERY)
    assert answer["ok"]
    assert effects.counts() == {"careful:again": 1}
    assert state_of(install, "careful:again") == "done"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_task_that_kills_its_own_process_runs_again(install: Install) -> None:
    install.worker("prefork", 2)

    [call] = install.delay("counter.kill_me", {"marker": "killed"})

    answer = install.answer(call, RECOVERY)
    assert (answer["ok"], answer["result"]) == (True, 2)
    assert len(install.notes("killed")) == 2


def test_two_workers_and_twenty_calls_of_one_key_at_once_publish_once(install: Install, effects: EffectServer) -> None:
    effects.mode("delay_after:120")
    workers = install.workers(2, "threads", 4)

    calls = install.delay("storyteller.publish", *[{"post_id": "wanted"}] * 20)
    effects.wait_in_flight(1)
    effects.release()
    metas = install.results(calls)

    assert effects.counts() == {"story:wanted": 1}
    assert effects.arrived() == 1
    assert [meta["status"] for meta in metas] == ["SUCCESS"] * 20
    answers = [meta["result"] for meta in metas]
    ran = [answer for answer in answers if answer["ok"] and not answer["replayed"]]
    refused = [answer for answer in answers if not answer["ok"]]
    assert len(ran) == 1
    assert all(answer["stage"] and answer["error"] for answer in refused)
    assert {answer["result"]["id"] for answer in answers if answer["ok"]} == {ran[0]["result"]["id"]}
    assert all(worker.alive for worker in workers)
