"""What one look at Redis tells the sweeper of every agent, and what that look costs."""

from __future__ import annotations

import pytest
from redis import ConnectionPool, Redis

from state.ledger import Ledger
from state.ledger.pending import Pending
from state.redis.keys import Keys
from tests.scripts.poster import AGENT, HOUR, Poster


def pending(poster: Poster) -> Pending:
    return poster.ledger.pending([AGENT])[AGENT]


def test_an_agent_without_calls_has_nothing_pending(poster: Poster) -> None:
    assert pending(poster) == Pending(
        0, {}, has_claims=False, is_due=False, has_expired=False, has_followed=False, has_unwritten=False
    )


def test_a_call_that_was_just_sent_is_not_pending(poster: Poster) -> None:
    poster.register()
    assert not pending(poster).needs_sweep


def test_a_call_whose_message_is_late_is_pending(poster: Poster) -> None:
    poster.come_due(poster.register(), "queued")
    assert pending(poster).is_due


def test_a_call_that_waits_is_pending_once_its_time_has_come(poster: Poster) -> None:
    call = poster.register(delay_ms=60_000)
    assert not pending(poster).is_due
    poster.come_due(call, "waiting")
    assert pending(poster).is_due


def test_a_claim_is_pending_for_as_long_as_it_runs(poster: Poster) -> None:
    poster.claim(poster.register())
    assert pending(poster).has_claims
    assert pending(poster).needs_sweep
    assert list(pending(poster).arrived_ms) == [""]


def test_a_call_that_others_follow_is_pending_until_it_is_let_go(poster: Poster) -> None:
    poster.redis.zadd(poster.n.followed, {"call": poster.now() + 60_000})
    assert not pending(poster).has_followed
    poster.redis.zadd(poster.n.followed, {"call": 0})
    assert pending(poster).has_followed


def test_an_approval_is_pending_once_its_time_is_over(poster: Poster) -> None:
    poster.redis.zadd(poster.n.expiring, {"post:feed:hello": poster.now() + 60_000})
    assert not pending(poster).has_expired
    poster.redis.zadd(poster.n.expiring, {"post:feed:hello": 0})
    assert pending(poster).has_expired


@pytest.mark.parametrize("busy", [0, 1, 3])
def test_the_look_at_many_agents_is_one_round_trip_and_a_second_one_for_those_that_are_busy(
    poster: Poster, busy: int
) -> None:
    agents = [f"agent{number}" for number in range(8)]
    poster.redis.hset(Keys("agent7").agent_meta, "revision", 7)
    for agent in agents[:busy]:
        poster.redis.zadd(Keys(agent).running, {"a-key": 1})

    def reads() -> int:
        return int(poster.redis.info("stats")["total_reads_processed"])

    before = reads()
    found = poster.ledger.pending(agents)
    assert reads() - before == (3 if busy else 2)  # the looks, and the question how many there were
    assert list(found) == agents
    assert [agent for agent in agents if found[agent].has_claims] == agents[:busy]
    assert found["agent7"].revision == 7


def test_what_is_pending_is_the_same_with_both_protocols_of_redis(poster: Poster) -> None:
    poster.register(poster.call("late"))
    poster.claim(poster.register(poster.call("running")))
    poster.register(poster.call("delayed"), delay_ms=HOUR)
    poster.redis.hset(poster.n.agent_meta, "arrived_ms:drafts/5", 7)
    options = poster.redis.connection_pool.connection_kwargs

    found = []
    for protocol in (2, 3):
        with Redis(
            connection_pool=ConnectionPool(
                poster.redis.connection_pool.connection_class, **options | {"protocol": protocol}
            )
        ) as client:
            found.append(Ledger(client).pending([AGENT]))

    assert found[0] == found[1] == poster.ledger.pending([AGENT])
    assert found[0][AGENT].has_claims
