"""Whole installations that share a journal, while its database and Redis are killed: nothing twice, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until
from tests.harness.postgres import Postgres

POSTS = [f"post-{number}" for number in range(40)]
OTHERS = [f"other-{number}" for number in range(10)]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def hosts(
    install_on: Callable[[Valkey], Install], fragile_valkey: Valkey, fragile_postgres: Postgres
) -> tuple[Install, Install]:
    """Two hosts: each has its STATE_DIR, and they share a Redis and a journal."""
    made = install_on(fragile_valkey), install_on(fragile_valkey)
    for host in made:
        host.env["JOURNAL_URL"] = fragile_postgres.url
    return made


def submit(install: Install, posts: list[str]) -> None:
    install.delay("storyteller.publish", *[{"post_id": post_id} for post_id in posts])


def all_are_done_once(install: Install, effects: EffectServer, posts: list[str]) -> None:
    until(lambda: all(effects.count(f"story:{each}") for each in posts), 40, "every post to be out")
    keys = [f"story:{each}" for each in posts]
    until(lambda: states(install, keys) == {"done"}, 40, "every post to be done")
    assert effects.counts() == dict.fromkeys(keys, 1)


def states(install: Install, keys: list[str]) -> set[str]:
    names = Keys("storyteller")
    return {str(install._redis.hget(names.key(key), "state")) for key in keys}


def has_files(install: Install) -> list[Path]:
    """Files of a journal of the host's own, which it must not have."""
    return list((install.state_dir / "journal").glob("*.jsonl"))


def test_a_database_that_is_killed_under_load_costs_no_post(
    hosts: tuple[Install, Install], fragile_postgres: Postgres, effects: EffectServer
) -> None:
    here, there = hosts
    for host in hosts:
        host.worker(concurrency=4)
    submit(here, POSTS)
    until(lambda: len(effects.counts()) >= 5, 20, "the first posts")

    fragile_postgres.kill9()
    assert there.answer(there.call("counter.add", a=2, b=3))["result"] == 5  # what is safe to repeat goes on
    fragile_postgres.start()

    all_are_done_once(there, effects, POSTS)
    assert has_files(here) == has_files(there) == []


def test_a_database_that_is_dropped_and_made_anew_is_used_again_without_a_restart(
    hosts: tuple[Install, Install], fragile_postgres: Postgres, effects: EffectServer
) -> None:
    fragile_postgres.sql("CREATE DATABASE gate")
    for host in hosts:
        host.env["JOURNAL_URL"] = fragile_postgres.url_of("gate")
    here, there = hosts
    workers = [host.worker(concurrency=4) for host in hosts]
    submit(here, POSTS)
    until(lambda: len(effects.counts()) >= 5, 20, "the first posts")

    fragile_postgres.sql("DROP DATABASE gate WITH (FORCE)")
    until(lambda: all(worker.events("effects are closed") for worker in workers), 20, "effects to be closed")
    fragile_postgres.sql("CREATE DATABASE gate")

    all_are_done_once(there, effects, POSTS)
    until(lambda: all(worker.events("effects are open") for worker in workers), 20, "effects to be open")
    told = [line for worker in workers for line in worker.events("journal lost records")]
    assert told, "a person is told what was lost"
    found = [row["found"] for row in json.loads(here.celery("gate", "doctor", "--json").stdout)]
    assert any("it lacked records that it had confirmed" in each for each in found)


def test_after_redis_is_killed_both_hosts_go_on_by_themselves(
    hosts: tuple[Install, Install], fragile_valkey: Valkey, effects: EffectServer
) -> None:
    here, there = hosts
    workers = [host.worker(concurrency=2) for host in hosts]
    submit(here, POSTS[:10])
    all_are_done_once(here, effects, POSTS[:10])

    fragile_valkey.kill9()
    workers[0].pause()  # the other one has to compare, and to send, alone; this one has not begun, and holds no lock
    fragile_valkey.start()
    submit(there, OTHERS)
    all_are_done_once(there, effects, POSTS[:10] + OTHERS)
    workers[0].resume()
    workers[1].pause()
    submit(there, ["last"])

    all_are_done_once(here, effects, [*POSTS[:10], *OTHERS, "last"])


def test_after_redis_lost_everything_one_recovery_opens_both(
    hosts: tuple[Install, Install], fragile_valkey: Valkey, effects: EffectServer
) -> None:
    here, there = hosts
    for host in hosts:
        host.worker(concurrency=2)
    submit(here, POSTS[:10])
    all_are_done_once(here, effects, POSTS[:10])
    fragile_valkey.client().flushall()
    submit(there, POSTS[:10])

    report = there.gate("recover")

    assert report["rebuilt"] == {"done": 10}
    submit(here, [*POSTS[:10], "last"])
    all_are_done_once(here, effects, [*POSTS[:10], "last"])
