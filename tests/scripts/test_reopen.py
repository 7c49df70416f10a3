"""reopen.lua: effects may happen again only on the server that was checked or filled, if it lost nothing since."""

from __future__ import annotations

import pytest
from redis import Redis

from state.recovery import epoch
from state.recovery.epoch import ReopenCondition
from state.redis.keys import Keys
from tests.conftest import a_valkey
from tests.harness import Valkey
from tests.scripts.poster import AGENT

LEDGER = Keys(AGENT).ledger


@pytest.fixture
def redis(valkey: Valkey) -> Redis:
    return valkey.client()


def recovering(redis: Redis, token: str = "t1", **more: str | int) -> ReopenCondition:
    """A recovery that has filled the ledger."""
    redis.hset(LEDGER, mapping={"closed": "gate recover is at work", "recovering": token, **more})
    return ReopenCondition(token, epoch.run_id(redis, AGENT), "e2", 7)


def test_the_recovery_that_filled_a_ledger_opens_it(redis: Redis) -> None:
    condition = recovering(redis)

    assert epoch.reopen(redis, AGENT, condition)

    assert redis.hgetall(LEDGER) == {"epoch": "e2", "run": condition.server_run_id, "fence": "7"}


def test_a_fence_is_never_lowered(redis: Redis) -> None:
    condition = recovering(redis, fence=12)

    assert epoch.reopen(redis, AGENT, condition)

    assert redis.hget(LEDGER, "fence") == "12"


def test_marks_stay(redis: Redis) -> None:
    condition = recovering(redis)
    redis.hset(LEDGER, "sent:k", 3)

    assert epoch.reopen(redis, AGENT, condition)

    assert redis.hget(LEDGER, "sent:k") == "3"


def test_what_was_lost_again_is_not_opened(redis: Redis) -> None:
    condition = recovering(redis)
    redis.flushall()

    assert not epoch.reopen(redis, AGENT, condition)

    assert redis.hgetall(LEDGER) == {}


def test_of_two_recoveries_the_one_that_closed_last_opens(redis: Redis) -> None:
    first = recovering(redis, "t1")
    second = recovering(redis, "t2")

    assert not epoch.reopen(redis, AGENT, first)
    assert epoch.reopen(redis, AGENT, second)
    assert not epoch.reopen(redis, AGENT, first)


def test_another_run_of_the_server_is_not_opened(fragile_valkey: Valkey) -> None:
    redis = fragile_valkey.client()
    condition = recovering(redis)
    fragile_valkey.restart("stop")

    assert not epoch.reopen(redis, AGENT, condition)

    assert redis.hget(LEDGER, "closed") == "gate recover is at work"


def test_a_mere_check_opens_what_nobody_closed(redis: Redis) -> None:
    redis.hset(LEDGER, mapping={"epoch": "e1", "fence": 9, "run": "an earlier one"})
    run = epoch.run_id(redis, AGENT)

    assert epoch.reopen(redis, AGENT, ReopenCondition("", run, "e1", 9, "e1"))

    assert redis.hgetall(LEDGER) == {"epoch": "e1", "run": run, "fence": "9"}


@pytest.mark.parametrize("closed", ["Redis forgot the key post:hello", "gate recover is at work"])
def test_a_mere_check_opens_nothing_that_was_closed(redis: Redis, closed: str) -> None:
    redis.hset(LEDGER, mapping={"epoch": "e1", "fence": 9, "closed": closed})

    assert not epoch.reopen(redis, AGENT, ReopenCondition("", epoch.run_id(redis, AGENT), "e1", 9))

    assert redis.hget(LEDGER, "closed") == closed


def test_a_mere_check_does_not_end_a_recovery(redis: Redis) -> None:
    recovering(redis)

    assert not epoch.reopen(redis, AGENT, ReopenCondition("", epoch.run_id(redis, AGENT), "e1", 9))


def test_each_server_that_is_started_is_another_run(redis: Redis) -> None:
    other = a_valkey()
    try:
        assert epoch.run_id(redis, AGENT) != epoch.run_id(other.client(), AGENT)
    finally:
        other.close()
