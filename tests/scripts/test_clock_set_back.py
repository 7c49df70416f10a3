"""The clock of Redis was two hours ahead for a moment, and is right again: nothing is refused or put off for two hours."""

from __future__ import annotations

import pytest
from redis import Redis

from gatekeeper.policies.policy import Breaker, Rate
from state import limits
from state.ledger.sweep import GRACE_MS
from state.limits import Denied, Permit, ProviderLimits
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, DAY, HOUR, MINUTE, SECOND, Poster

AHEAD = 2 * HOUR
LEASE = 2 * MINUTE
#: Every field of a hash that holds a time.
TIMES = {
    "arrived_ms:", "at_ms", "booked_ms", "clock_ms", "expires_ms", "lease_ms", "not_before_ms", "open_until_ms",
    "opened_ms", "paused_ms", "probe_until_ms", "sent_ms", "started_ms", "tat_ms", "updated_ms",
}  # fmt: skip


def was_ahead(redis: Redis, pattern: str = "gate:*", ms: int = AHEAD) -> None:
    """Make everything as if it had been written while the clock was ahead: a server's own clock cannot be set here."""
    for name in redis.scan_iter(pattern):
        match redis.type(name):
            case "hash":
                for field in TIMES.intersection(redis.hkeys(name)):
                    redis.hincrbyfloat(name, field, ms)
            case "zset":
                for member, score in redis.zrange(name, 0, -1, withscores=True):
                    redis.zadd(name, {member: score + ms})


def mend(poster: Poster) -> int:
    return poster.ledger.mend_clock(AGENT, LEASE)


# Rates, caps and breakers correct themselves


def test_a_source_of_webhooks_waits_for_one_place_and_no_longer(poster: Poster) -> None:
    for _ in range(3):
        limits.throttle("a", 3, 20_000)
    was_ahead(poster.redis)

    assert 19 < limits.throttle("a", 3, 20_000) <= 20
    poster.redis.hincrbyfloat(limits.source_key("a"), "tat_ms", -20_000)
    assert limits.throttle("a", 3, 20_000) == 0, "time counts from the correction on"


def test_a_rate_of_a_task_puts_off_by_one_place_and_no_longer(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="60/hour")
    poster.settle(poster.claim("first"))
    was_ahead(poster.redis)

    receipt = poster.deferred("second")

    assert 59 < receipt["retry_after"] <= 60
    poster.pass_time_for_rates(MINUTE)
    poster.claim("third")


def test_a_slot_that_was_booked_while_the_clock_was_ahead_is_nobodys(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=Rate("1/minute"))
    poster.settle(poster.claim("first"))
    poster.deferred("second")
    was_ahead(poster.redis, f"gate:{{{AGENT}}}:rate:*", 30 * DAY)

    assert poster.deferred("third")["retry_after"] <= 60


def test_a_cap_counts_what_was_taken_while_the_clock_was_ahead_for_one_window(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/10m")
    poster.publish("first")
    poster.redis.hdel(poster.n.agent_meta, "pause")
    was_ahead(poster.redis)

    assert poster.refused("second")["retry_after"] <= 600
    poster.pass_time_for_caps(10 * MINUTE + SECOND)
    poster.claim("third")


def test_a_breaker_is_open_for_its_cooldown_and_no_longer(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=1, cooldown="5m"))
    poster.fail("first")
    was_ahead(poster.redis)

    assert 299 < poster.refused("second")["retry_after"] <= 300
    poster.pass_time_for_breaker(5 * MINUTE)
    poster.claim("third")


def test_a_probe_is_waited_for_as_long_as_its_lease(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=1, cooldown="5m"))
    poster.fail("first")
    poster.pass_time_for_breaker(6 * MINUTE)
    poster.claim("probe")
    [breaker] = poster.redis.scan_iter(f"gate:{{{AGENT}}}:breaker:*")
    poster.redis.hincrby(breaker, "probe_until_ms", AHEAD)

    assert poster.refused("second")["retry_after"] <= LEASE / SECOND


# Providers of models

LIMITS = ProviderLimits(burst=3, every_ms=1000, after=1, cooldown_ms=60_000, probe_ms=30_000)


def permit(redis: Redis) -> Permit | Denied:
    return limits.permit("groq", "q", LIMITS)


def permitted(redis: Redis) -> Permit:
    given = permit(redis)
    assert isinstance(given, Permit), given
    return given


@pytest.mark.parametrize(
    ("outcome", "seconds", "most"), [("failed", None, 60), ("later", 600.0, 600), ("barred", 900.0, 900)]
)
def test_a_provider_is_left_alone_for_as_long_as_it_was_meant(
    poster: Poster, outcome: limits.Outcome, seconds: float | None, most: float
) -> None:
    limits.report(permitted(poster.redis), outcome, "why", seconds)
    was_ahead(poster.redis)

    denied = permit(poster.redis)
    again = permit(poster.redis)

    assert isinstance(denied, Denied)
    assert isinstance(again, Denied)
    assert most - 5 < denied.retry_after <= most
    assert again.retry_after <= denied.retry_after


def test_our_own_rate_and_a_probe_of_a_provider_are_bounded_too(poster: Poster) -> None:
    for _ in range(3):
        permitted(poster.redis)
    was_ahead(poster.redis)
    denied = permit(poster.redis)
    assert isinstance(denied, Denied)
    assert denied.retry_after <= 1

    record = limits.ProviderKeys("groq").record
    poster.redis.hset(record, mapping={"open_until_ms": 1, "probe": "x", "probe_until_ms": poster.now() + AHEAD})
    probing = permit(poster.redis)
    assert isinstance(probing, Denied)
    assert probing.retry_after <= 30


def test_a_pause_that_a_provider_asks_for_now_is_not_prolonged_by_one_of_then(poster: Poster) -> None:
    first, second = permitted(poster.redis), permitted(poster.redis)
    limits.report(first, "later", "why", 600)
    was_ahead(poster.redis)

    limits.report(second, "later", "why", 60)

    denied = permit(poster.redis)
    assert isinstance(denied, Denied)
    assert denied.retry_after <= 60


# Times of calls and claims


def test_a_clock_that_goes_on_changes_nothing(poster: Poster) -> None:
    poster.register(delay_ms=HOUR)
    assert mend(poster) == 0
    before = poster.dump(lambda name: name == poster.n.agent_meta)

    assert mend(poster) == 0
    assert poster.dump(lambda name: name == poster.n.agent_meta) == before


def test_one_caller_is_told_and_it_is_over(poster: Poster) -> None:
    mend(poster)
    was_ahead(poster.redis)

    assert AHEAD - MINUTE < mend(poster) <= AHEAD
    assert mend(poster) == 0


def test_a_call_that_was_put_off_asks_again_now(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="1/hour")
    poster.settle(poster.claim("first"))
    call = poster.register(poster.call("second"))
    poster.deferred(call)
    was_ahead(poster.redis)

    assert mend(poster)

    assert [due.call for due in poster.ledger.due(AGENT, [poster.gate.name], lambda _: True)] == [call.id]


def test_a_failed_attempt_is_tried_again_now(poster: Poster) -> None:
    poster.fail("first", retry_ms=MINUTE)
    was_ahead(poster.redis)

    assert mend(poster)

    assert len(list(poster.ledger.due(AGENT, [poster.gate.name], lambda _: True))) == 1


def test_a_call_with_a_delay_runs_at_its_time_whenever_it_was_registered(poster: Poster) -> None:
    then = poster.register(poster.call("then"), delay_ms=HOUR)
    mend(poster)  # a sweep, while the clock is ahead
    was_ahead(poster.redis)
    now = poster.register(poster.call("now"), delay_ms=3 * HOUR)

    assert mend(poster)

    due = {call.id: (poster.redis.zscore(poster.n.waiting, call.id) or 0) - poster.now() for call in (then, now)}
    assert HOUR - MINUTE < due[then.id] <= HOUR
    assert 3 * HOUR - MINUTE < due[now.id] <= 3 * HOUR
    assert int(poster.call_of(then)["at_ms"]) <= poster.now() + HOUR


def test_a_due_time_of_which_the_delay_is_not_known_is_left_alone(poster: Poster) -> None:
    call = poster.register(delay_ms=HOUR)
    poster.redis.hdel(poster.n.call(call.id), "delay_ms")
    mend(poster)  # a sweep, while the clock is ahead
    was_ahead(poster.redis, poster.n.agent_meta)

    assert mend(poster)

    assert (poster.redis.zscore(poster.n.waiting, call.id) or 0) > poster.now() + HOUR - MINUTE


def test_a_lost_message_is_looked_for_after_the_grace(poster: Poster) -> None:
    call = poster.register()
    mend(poster)
    was_ahead(poster.redis)

    assert mend(poster)

    assert (poster.redis.zscore(poster.n.queued, call.id) or 0) <= poster.now() + GRACE_MS
    assert int(poster.call_of(call)["sent_ms"]) <= poster.now()


def test_a_lease_ends_as_if_it_were_renewed_now(poster: Poster) -> None:
    claim = poster.claim()
    mend(poster)
    was_ahead(poster.redis)

    assert mend(poster)

    assert int(poster.key_of(claim)["lease_ms"]) <= poster.now() + LEASE
    assert (poster.redis.zscore(poster.n.running, claim.key) or 0) <= poster.now() + LEASE
    assert poster.renew(claim)


def test_arrivals_of_then_do_not_hide_those_of_now(poster: Poster) -> None:
    poster.claim(poster.register())
    fields = [field for field in poster.redis.hkeys(poster.n.agent_meta) if field.startswith("arrived_ms")]
    assert fields
    for field in fields:
        poster.redis.hincrby(poster.n.agent_meta, field, AHEAD)

    poster.claim(poster.register(poster.call("next")))

    assert all(int(poster.redis.hget(poster.n.agent_meta, field) or 0) <= poster.now() for field in fields)
