"""admit.lua: may this call run now? Its answers, and that a refusal leaves nothing taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gatekeeper.policies.policy import Breaker, Effect, Rate
from state.decision import ArgumentsDiffer, Decision, KeyInUse, NotDue, Refusal, Unregistered
from state.model import Call, Claim
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import DAY, HOUR, LEDGER, MINUTE, Poster

#: What a refusal may change: it is counted and told, and the call itself is over.
TOLD = ("metrics", "story", "call", "head", "queued", "waiting", "events")


def taken(poster: Poster) -> dict[str, object]:
    """Everything that a claim takes: the key, rate tokens, cap places, the probe, the lease, the fence."""
    found = poster.dump(without=lambda name: name.split(":")[2] in TOLD)
    found["fence"] = poster.redis.hget(poster.n.agent_meta, "fence")
    for name, (_, value) in [item for item in found.items() if item[0].startswith("gate:{poster}:key:")]:
        state = value["state"]
        found[name] = "nobody's" if state in {"rejected", "queued", "waiting"} else value
    return {name: value for name, value in found.items() if value != "nobody's"}


# "claimed"


def test_a_call_that_was_not_registered_tells_its_door_when_it_is_refused(poster: Poster) -> None:
    poster.claim("hello")
    call = poster.call("hello")

    poster.admit(call, alive=poster.busy(call).owner)

    assert [(told["event"], told["door"]) for told in poster.story(call.key) if told["call"] == call.id] == [
        ("refused", "test")
    ]


def test_a_free_key_is_claimed_with_a_fence_and_a_lease(poster: Poster) -> None:
    call = poster.register()

    claim = poster.claim(call, owner="me/1")

    key = poster.key_of(claim)
    assert (claim.fence, claim.attempt, claim.owner) == (1, 1, "me/1")
    assert (key["state"], key["owner"], key["fence"], key["call"]) == ("claimed", "me/1", "1", call.id)
    assert int(key["lease_ms"]) == claim.admitted_ms + 2 * MINUTE
    assert poster.redis.zscore(poster.n.running, claim.key) == int(key["lease_ms"])
    assert poster.redis.zscore(poster.n.queued, call.id) is None
    assert poster.call_of(call)["state"] == "claimed"


def test_every_claim_has_a_greater_fence_than_all_before_it(poster: Poster) -> None:
    fences = [poster.publish(post_id).fence for post_id in ("one", "two", "three")]

    assert fences == sorted(set(fences))


def test_a_call_that_nobody_registered_is_written_down_when_it_is_claimed(poster: Poster) -> None:
    call = poster.call()

    poster.claim(call)

    assert poster.call_of(call)["kwargs"] == call.kwargs
    assert [told["event"] for told in poster.story(call.key)] == ["arrived"]


def test_the_same_attempt_admitted_twice_gets_the_same_claim_and_takes_one_token(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="10/hour", cap="5/day")
    call = poster.call()
    first = poster.claim(call, owner="me/1")
    after_first = poster.dump()

    again = poster.claim(call, owner="me/1")  # the answer to the first was lost on the way

    assert (again.fence, again.attempt) == (first.fence, first.attempt)
    assert poster.dump() == after_first


def test_the_same_attempt_admitted_again_after_the_line_does_not_begin_again(poster: Poster) -> None:
    claim = poster.claim(owner="me/1")
    poster.cross(claim)

    again = poster.admit(poster.call(id=claim.call), owner="me/1")

    assert isinstance(again, Claim)
    assert poster.key_of(claim)["state"] == "sending"
    assert poster.cross(again, '"another payload"') == ["sending", '"hello"']


def test_a_rejected_key_may_run_again(poster: Poster) -> None:
    failed = poster.fail("hello")

    again = poster.claim("hello")

    assert again.fence > failed.fence
    assert poster.redis.pttl(poster.n.key(again.key)) == -1


@pytest.mark.parametrize("refusals", [1, 2])
def test_a_key_that_ran_after_a_refusal_and_a_deferral_is_kept_for_ever(
    poster_with: WithPolicies, refusals: int
) -> None:
    poster = poster_with(rate="1/hour")
    for _ in range(refusals):
        poster.fail("hello")
        poster.pass_time_for_rates(HOUR)
    poster.publish("other")
    call = poster.call("hello")
    poster.deferred(call)
    poster.pass_time_for_rates(HOUR)

    claim = poster.claim(call)
    poster.cross(claim)
    poster.settle(claim)

    assert poster.redis.pttl(poster.n.key(claim.key)) == -1, "the key would be forgotten, and the effect happen again"
    assert poster.redis.pttl(poster.n.history(claim.key)) == -1


# "replay"


def test_a_finished_key_is_replayed_with_its_stored_result(poster: Poster) -> None:
    poster.publish("hello")

    replay = poster.replayed("hello")

    assert (replay.result, replay.flaw) == ('{"result":"it went well","rung":null}', "")


def test_a_replay_has_the_flaw_of_the_result(poster: Poster) -> None:
    poster.settle(poster.claim("hello"), flaw='{"error":"output validation failed"}')

    assert poster.replayed("hello").flaw == '{"error":"output validation failed"}'


def test_a_replay_ends_its_call_and_is_counted_and_told(poster: Poster) -> None:
    poster.publish("hello")
    call = poster.register(poster.call("hello"))

    poster.replayed(call)

    assert poster.call_of(call)["state"] == "done"
    assert poster.redis.zscore(poster.n.queued, call.id) is None
    assert poster.metrics()["total_replayed"] == 1
    assert poster.story(call.key)[-1]["event"] == "replayed"


def test_a_finished_key_is_replayed_while_the_agent_is_paused_limited_capped_and_broken(
    poster_with: WithPolicies,
) -> None:
    poster = poster_with(rate=Rate("1/hour", over="drop"), cap="1/day", breaker=Breaker(after=1, cooldown="1h"))
    poster.publish("hello")  # the rate and the cap are used up, and the agent is paused by its cap
    poster.redis.hset(
        poster.gate.limits({"post_id": "", "destination": ""}).breaker, "open_until_ms", poster.now() + HOUR
    )
    before = taken(poster)

    assert poster.replayed("hello").result

    assert taken(poster) == before
    assert poster.refused("other")["stage"] == "paused"


def test_a_replay_of_an_old_call_is_no_question_of_its_age(poster: Poster) -> None:
    poster.publish("hello")
    call = poster.register(poster.call("hello"))
    poster.age_call(call, 30 * DAY)

    assert poster.replayed(call)


# "refused", by the key


def test_other_arguments_for_a_finished_key_are_a_mismatch(poster: Poster) -> None:
    first = poster.publish("hello")

    receipt = poster.refused(poster.call("hello", text="other words"))

    assert receipt["stage"] == "key"
    assert "other arguments" in receipt["error"]
    assert receipt["holder"] == first.call
    assert poster.replayed("hello")


def test_other_arguments_for_a_running_key_are_a_mismatch(poster: Poster) -> None:
    claim = poster.claim("hello")

    receipt = poster.refused(poster.call("hello", text="other words"))

    assert "other arguments" in receipt["error"]
    assert poster.key_of(claim)["state"] == "claimed"


@pytest.mark.parametrize("state", ["queued", "waiting"])
def test_other_arguments_for_a_registered_key_are_a_mismatch(poster: Poster, state: str) -> None:
    poster.register(poster.call("hello"), delay_ms=HOUR if state == "waiting" else 0)

    receipt = poster.refused(poster.call("hello", text="other words"))

    assert "other arguments" in receipt["error"]
    assert poster.key_of("post:feed:hello")["state"] == state


def test_other_arguments_for_a_rejected_key_are_a_new_start(poster: Poster) -> None:
    poster.fail("hello")

    assert poster.claim(poster.call("hello", text="other words"))


def test_a_mismatch_leaves_nothing_taken(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="10/hour", cap="10/day", breaker=Breaker())
    poster.publish("hello")
    before = taken(poster)

    poster.refused(poster.call("hello", text="other words"))

    assert taken(poster) == before


def test_a_key_held_by_an_owner_known_to_live_is_in_progress(poster: Poster) -> None:
    claim = poster.claim("hello", owner="me/1")
    poster.redis.hincrby(poster.n.key(claim.key), "started_ms", -3000)

    receipt = poster.admit("hello", alive="me/1")

    assert isinstance(receipt, Refusal)
    assert (receipt.receipt["error"], receipt.receipt["holder"], receipt.receipt["state"]) == (
        "in progress",
        "me/1",
        "claimed",
    )
    assert 3 <= receipt.receipt["age"] < 10
    assert poster.key_of(claim)["owner"] == "me/1"


@pytest.mark.parametrize("end", ["settled unknown", "lost after the effect began"])
def test_an_unknown_key_never_runs_again(poster: Poster, end: str) -> None:
    claim = poster.claim("hello")
    poster.cross(claim)
    if end == "settled unknown":
        poster.settle(claim, "unknown")
    else:
        assert poster.reclaim(claim, dead=True) == "unknown"

    receipts = [poster.refused("hello") for _ in range(3)]

    assert {receipt["error"] for receipt in receipts} == {"outcome unknown"}
    assert all(receipt["why"] for receipt in receipts)
    assert poster.key_of(claim)["state"] == "unknown"
    assert poster.redis.pttl(poster.n.key(claim.key)) == -1


def test_a_held_key_is_refused(poster: Poster) -> None:
    call = poster.register()
    for _ in range(3):
        claim = poster.claim(call)
        poster.reclaim(claim, dead=True)
    assert poster.key_of(call.key)["state"] == "held"

    assert poster.refused("hello")["error"] == "held"


# "ended"


def test_a_second_message_of_a_refused_call_gets_the_first_answer(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=Rate("1/hour", over="drop"))
    poster.publish("other")
    call = poster.call("hello")
    first = poster.refused(call)
    poster.pass_time_for_rates(2 * HOUR)
    before = poster.dump()

    again = poster.admit(call)

    assert isinstance(again, Refusal)
    assert again.again
    assert again.receipt == first
    assert poster.dump() == before


def test_a_second_message_of_a_failed_call_does_not_run_it_again(poster: Poster) -> None:
    failed = poster.fail("hello")

    again = poster.admit(poster.call("hello", id=failed.call))

    assert isinstance(again, Refusal)
    assert again.again
    assert again.receipt == {"error": "it broke", "stage": "task"}


def test_a_second_message_of_an_unknown_call_says_so(poster: Poster) -> None:
    claim = poster.claim("hello")
    poster.cross(claim)
    poster.settle(claim, "unknown")

    again = poster.admit(poster.call("hello", id=claim.call))

    assert isinstance(again, Refusal)
    assert (again.again, again.receipt["error"], again.receipt["stage"]) == (True, "unknown", "key")


# "busy"


def test_a_running_key_is_busy_and_says_who_holds_it(poster: Poster) -> None:
    claim = poster.claim("hello", owner="me/1")
    before = poster.dump()

    busy = poster.busy("hello")

    assert (busy.owner, busy.fence, busy.call) == ("me/1", claim.fence, claim.call)
    assert busy.lease_ms == claim.admitted_ms + 2 * MINUTE
    assert poster.dump() == before


def test_a_second_message_of_a_running_call_is_busy_even_with_a_living_holder(poster: Poster) -> None:
    claim = poster.claim("hello", owner="me/1")

    again = poster.admit(poster.call("hello", id=claim.call), owner="me/2", alive="me/1")

    assert isinstance(again, KeyInUse)
    assert poster.key_of(claim)["owner"] == "me/1"


# "refused", by the rules


def test_a_paused_agent_refuses_and_says_who_paused_it_and_why(poster: Poster) -> None:
    poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')
    before = taken(poster)

    receipt = poster.refused()

    assert (receipt["stage"], receipt["error"]) == ("paused", "paused")
    assert (receipt["by"], receipt["why"]) == ("ada", "looking")
    assert taken(poster) == before


def test_a_resumed_agent_goes_on(poster: Poster) -> None:
    poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')
    poster.refused("hello")
    poster.redis.hdel(poster.n.agent_meta, "pause")

    assert poster.claim("hello")


def test_a_call_that_is_too_old_is_refused(poster_with: WithPolicies) -> None:
    poster = poster_with(max_age="1d", rate="10/hour", cap="10/day")
    call = poster.register()
    before = taken(poster)
    poster.age_call(call, DAY + 1000)

    receipt = poster.refused(call)

    assert (receipt["stage"], receipt["error"], receipt["max_age"]) == ("age", "too old", DAY / 1000)
    assert DAY / 1000 < receipt["age"] < DAY / 1000 + 60
    assert taken(poster) == before


def test_a_refused_call_is_over_and_forgotten_when_the_ledger_ends(poster: Poster) -> None:
    poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')
    call = poster.register()

    poster.refused(call)

    assert poster.call_of(call)["state"] == "rejected"
    assert poster.key_of(call.key)["state"] == "rejected"
    assert poster.redis.zscore(poster.n.queued, call.id) is None
    for name in (poster.n.call(call.id), poster.n.key(call.key), poster.n.history(call.key)):
        assert LEDGER - DAY < poster.redis.pttl(name) <= LEDGER
    assert poster.metrics() == {"total_refused": 1, "refused_paused": 1}
    assert poster.story(call.key)[-1]["event"] == "refused"


def test_a_refusal_of_one_call_does_not_reject_another_that_waits_for_the_same_key(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="1/hour")
    poster.publish("other")
    waiting = poster.call("hello")
    poster.deferred(waiting)
    poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')

    poster.refused("hello")

    assert poster.key_of(waiting.key)["state"] == "waiting"
    assert poster.call_of(waiting)["state"] == "waiting"
    assert poster.redis.pttl(poster.n.key(waiting.key)) == -1


# The rates: "10/hour" lets ten through at once and refills evenly


def test_ten_an_hour_lets_ten_through_at_once_and_then_one_each_six_minutes(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=Rate("10/hour", over="drop"))
    for number in range(10):
        poster.claim(f"post{number}")

    receipt = poster.refused("eleventh")
    assert (receipt["stage"], receipt["error"], receipt["rule"]) == ("rate", "rate limited", "10/hour")
    assert 350 < receipt["retry_after"] <= 360

    poster.pass_time_for_rates(6 * MINUTE)
    poster.claim("twelfth")
    assert 350 < poster.refused("thirteenth")["retry_after"] <= 360

    poster.pass_time_for_rates(18 * MINUTE)
    for number in range(3):
        poster.claim(f"late{number}")
    poster.refused("one too many")


def test_a_quiet_day_does_not_save_up_more_than_one_burst(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=Rate("3/hour", over="drop"))
    poster.claim("first")
    poster.pass_time_for_rates(DAY)

    for number in range(3):
        poster.claim(f"post{number}")

    poster.refused("one too many")


def test_an_attempt_that_failed_has_used_its_token(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=Rate("1/hour", over="drop"))
    poster.fail("hello")

    assert poster.refused("hello")["stage"] == "rate"


def test_a_dropped_call_takes_no_token(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=[Rate("5/minute", over="drop"), Rate("2/hour", over="drop")], cap="10/day")
    poster.claim("one")
    poster.claim("two")
    before = taken(poster)

    for number in range(10):
        assert poster.refused(f"more{number}")["rule"] == "2/hour"

    assert taken(poster) == before


def test_of_several_rates_the_one_that_opens_last_decides(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=[Rate("1/minute"), Rate("2/hour")])
    poster.claim("one")
    assert poster.deferred("two")["rule"] == "1/minute"
    poster.pass_time_for_rates(MINUTE)
    poster.pass_time_for_rates(MINUTE)
    poster.claim("three")

    assert poster.deferred("four")["rule"] == "2/hour"


def test_a_rate_with_a_scope_counts_for_each_of_its_values(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=Rate("1/hour", over="drop", scope="{destination}"))
    poster.claim(poster.call("one", destination="feed"))

    poster.claim(poster.call("one", destination="mastodon"))

    assert poster.refused(poster.call("two", destination="feed"))["stage"] == "rate"
    assert poster.refused(poster.call("two", destination="mastodon"))["stage"] == "rate"


def test_a_waiting_call_is_deferred_to_its_slot_and_is_no_attempt(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="10/hour")
    for number in range(10):
        poster.claim(f"post{number}")
    call = poster.register(poster.call("waits"))

    receipt = poster.deferred(call)

    assert (receipt["error"], receipt["stage"], receipt["deferred"]) == ("rate limited", "rate", True)
    slot = poster.redis.zscore(poster.n.waiting, call.id)
    assert slot is not None
    assert slot - poster.now() == pytest.approx(receipt["retry_after"] * 1000, abs=5000)
    assert poster.redis.zscore(poster.n.queued, call.id) is None
    assert "attempts" not in poster.call_of(call)
    assert "attempts" not in poster.key_of(call.key)
    assert poster.key_of(call.key)["state"] == "waiting"
    assert poster.metrics()["total_deferred"] == 1


def test_waiting_calls_get_one_slot_after_the_other(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="10/hour")
    for number in range(10):
        poster.claim(f"post{number}")

    waits = [poster.deferred(f"waits{number}")["retry_after"] for number in range(5)]

    assert waits == pytest.approx([360, 720, 1080, 1440, 1800], abs=5)


def test_a_waiting_call_runs_at_its_slot_and_a_newcomer_cannot_take_it(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="10/hour")
    for number in range(10):
        poster.claim(f"post{number}")
    first, second = poster.call("first"), poster.call("second")
    poster.deferred(first)
    poster.deferred(second)
    poster.pass_time_for_rates(6 * MINUTE)

    newcomer = poster.deferred("newcomer")

    assert newcomer["retry_after"] == pytest.approx(720, abs=5)
    assert isinstance(poster.admit(first), Claim)
    poster.pass_time_for_rates(6 * MINUTE)
    assert isinstance(poster.admit(second), Claim)


def test_a_call_that_is_deferred_again_does_not_take_the_slots_of_others_back(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="10/hour")
    for number in range(10):
        poster.claim(f"post{number}")
    first = poster.call("first")
    poster.deferred(first)
    poster.deferred("second")
    poster.deferred("third")

    poster.deferred(first)  # it comes before its time, as a second message does

    assert poster.deferred("fourth")["retry_after"] == pytest.approx(4 * 360, abs=5)


def test_a_call_whose_turn_would_come_too_late_is_refused_for_good(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=Rate("1/hour", within="2h"))
    poster.claim("now")
    poster.deferred("in one hour")
    poster.deferred("in two hours")
    before = taken(poster)

    receipt = poster.refused("in three hours")

    assert (receipt["stage"], receipt["error"]) == ("rate", "rate limited for too long")
    assert taken(poster) == before


def test_waiting_has_a_bound_also_for_a_call_that_is_deferred_again_and_again(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=Rate("1/hour", within="2h"))
    poster.claim("first")
    call = poster.call("waits")
    poster.deferred(call)
    poster.age_call(call, 90 * MINUTE)

    assert poster.refused(call)["error"] == "rate limited for too long"


# The caps count effects that happened


def test_a_cap_counts_only_effects_that_happened(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="2/day")
    for number in range(5):
        poster.fail(f"fails{number}")
    poster.publish("one")

    poster.publish("two")

    assert poster.document()["paused"]


def test_an_effect_under_way_holds_a_place_below_the_cap(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="2/day")
    poster.publish("one")
    second = poster.claim("two")

    assert poster.refused("three")["stage"] == "cap"

    poster.settle(second, "failed")
    assert poster.claim("three")


def test_an_unknown_outcome_holds_its_place_below_the_cap(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/day")
    claim = poster.claim("one")
    poster.cross(claim)
    poster.settle(claim, "unknown")

    assert poster.refused("two")["stage"] == "cap"


def test_a_cap_says_its_numbers_and_when_it_opens(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/day")
    poster.publish("one")
    poster.redis.hdel(poster.n.agent_meta, "pause")

    receipt = poster.refused("two")

    assert (receipt["error"], receipt["rule"], receipt["count"]) == ("cap reached", "1/day", 1)
    assert DAY / 1000 - 60 < receipt["retry_after"] <= DAY / 1000


def test_a_cap_opens_when_its_window_has_passed(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/day")
    poster.publish("one")
    poster.redis.hdel(poster.n.agent_meta, "pause")
    poster.pass_time_for_caps(DAY)

    assert poster.claim("two")


def test_a_call_that_lost_its_worker_keeps_its_own_place_and_no_second_one(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/day")
    call = poster.register()
    poster.reclaim(poster.claim(call), dead=True)

    assert poster.claim(call)


def test_a_call_that_lost_its_worker_and_is_refused_then_gives_its_place_back(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/day")
    call = poster.register()
    poster.reclaim(poster.claim(call), dead=True)
    poster.age_call(call, 8 * DAY)
    poster.refused(call)

    assert poster.claim("another")


# The breaker: one probe


def open_breaker(poster: Poster, failures: int = 3) -> None:
    for number in range(failures):
        poster.fail(f"fails{number}")


def test_an_open_breaker_refuses_and_says_until_when(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=3, cooldown="5m"), rate="100/hour", cap="100/day")
    open_breaker(poster)
    before = taken(poster)

    receipt = poster.refused()

    assert (receipt["stage"], receipt["error"], receipt["rule"]) == ("breaker", "breaker open", "3 failures")
    assert receipt["failures"] == 3
    assert 290 < receipt["retry_after"] <= 300
    assert taken(poster) == before


def test_a_call_that_waited_for_its_service_and_is_refused_by_a_breaker_is_listed_as_dead(
    poster_with: WithPolicies,
) -> None:
    poster = poster_with(breaker=Breaker(after=3, cooldown="5m"), max_age="3m")
    open_breaker(poster)
    call = poster.register(poster.call("waited"))
    waits = {"attempts": 1, "waits": 1, "waits_since_ms": poster.now() - 60_000, "waits_why": "429 Too Many Requests"}
    poster.redis.hset(poster.n.call(call.id), mapping=waits)

    receipt = poster.refused(call)

    assert (receipt["stage"], receipt["error"], receipt["why"]) == ("breaker", "breaker open", "429 Too Many Requests")
    assert 59 < receipt["waited"] < 120
    assert poster.redis.zscore(poster.n.dead, call.id)
    assert "429 Too Many Requests" in poster.redis.lindex(poster.n.errors, 0)


def test_after_the_cooldown_exactly_one_probe_gets_through(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=3, cooldown="5m"))
    open_breaker(poster)
    poster.pass_time_for_breaker(5 * MINUTE)

    probe = poster.claim("probe")

    receipts = [poster.refused(f"other{number}") for number in range(5)]
    assert {receipt["error"] for receipt in receipts} == {"breaker is probing"}
    assert {receipt["probe"] for receipt in receipts} == {probe.key}


def test_a_probe_that_dies_is_replaced_when_its_lease_has_ended(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=3, cooldown="5m"), lease="2m")
    open_breaker(poster)
    poster.pass_time_for_breaker(5 * MINUTE)
    poster.claim("dies")
    assert poster.refused("other")["error"] == "breaker is probing"

    poster.pass_time_for_breaker(2 * MINUTE)

    assert poster.claim("other")
    assert poster.refused("third")["error"] == "breaker is probing"


def test_a_probe_whose_worker_died_may_try_itself_again_at_once(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=3, cooldown="5m"))
    open_breaker(poster)
    poster.pass_time_for_breaker(5 * MINUTE)
    call = poster.register(poster.call("probe"))
    poster.reclaim(poster.claim(call), dead=True)

    assert poster.claim(call)


# What people see


@pytest.mark.parametrize("decision", ["refused", "deferred", "replayed"])
def test_each_visible_decision_increases_the_revision(poster_with: WithPolicies, decision: str) -> None:
    poster = poster_with(rate=Rate("1/hour", over="wait" if decision == "deferred" else "drop"))
    poster.publish("hello")
    before = poster.revision()

    getattr(poster, decision)("hello" if decision == "replayed" else "other")

    assert poster.revision() > before
    assert poster.document()["updated_at"] is not None


# A message is only a hint: what was registered counts


def arrives(poster: Poster, call: Call, sent: str | None = None, **how: Any) -> Decision:
    """The decision on a message that carries these arguments; nobody looked whether another agent has its id."""
    sent = call.kwargs if sent is None else sent
    return poster.ledger._admit_once(call, "me/1", poster.scope_of(call), sent=sent, checked=False, **how)


@pytest.mark.parametrize("stands", ["queued", "waiting", "claimed", "done", "cancelled"])
def test_a_message_with_other_arguments_leaves_the_call_of_its_id_as_it_is(poster: Poster, stands: str) -> None:
    call = poster.register(poster.call("ada"), delay_ms=HOUR if stands == "waiting" else 0)
    if stands == "cancelled":
        poster.cancel(call.id, "ada")
    elif stands in {"claimed", "done"}:
        claim = poster.claim(call)
    if stands == "done":
        poster.cross(claim)
        poster.settle(claim)
    before = poster.dump()
    forged = poster.gate.call((), {"post_id": "bob"}, id=call.id, origin="message")

    assert arrives(poster, forged) == ArgumentsDiffer(call.task, call.kwargs)
    assert arrives(poster, replace(forged, key=call.key)) == ArgumentsDiffer(call.task, call.kwargs)
    assert poster.dump() == before


def test_a_message_of_another_task_leaves_the_call_of_its_id_as_it_is(poster: Poster) -> None:
    call = poster.register(poster.call("ada"))
    before = poster.dump()

    assert arrives(poster, replace(call, task="tasks.poster.remove")) == ArgumentsDiffer(call.task, call.kwargs)
    assert poster.dump() == before


@pytest.mark.parametrize("why", ["asked later", "rate", "in doubt"])
def test_a_message_that_comes_before_the_time_of_its_call_changes_nothing(poster_with: WithPolicies, why: str) -> None:
    poster = poster_with(rate="1/hour") if why == "rate" else poster_with(effect=Effect(verify=lambda _sent: None))
    call = poster.register(poster.call("hello"), delay_ms=HOUR if why == "asked later" else 0)
    if why == "rate":
        poster.publish("other")
        poster.deferred(call)
    elif why == "in doubt":
        poster.doubt(call)
    before = poster.dump()

    early = arrives(poster, call)

    assert isinstance(early, NotDue)
    assert early.due_ms > early.now_ms
    assert poster.dump() == before


def test_the_message_of_a_call_fits_although_its_task_has_a_new_argument_since(poster: Poster) -> None:
    call = poster.register(poster.call("hello"))
    today = poster.gate.call((), {"post_id": "hello", "text": "new"}, id=call.id, origin="message")

    claim = arrives(poster, today, sent=call.kwargs)

    assert isinstance(claim, Claim)
    assert claim.fingerprint == call.fingerprint
    assert poster.key_of(call.key)["fingerprint"] == call.fingerprint
    assert poster.call_of(call)["kwargs"] == call.kwargs


def test_a_message_that_nobody_registered_is_admitted_once_it_is_known_to_be_nobody_elses(poster: Poster) -> None:
    call = poster.call("strange")

    assert arrives(poster, call) == Unregistered()
    assert poster.dump() == {}
    assert isinstance(poster.admit(call), Claim)


def test_a_message_that_nobody_registered_is_refused_when_it_has_expired(poster: Poster) -> None:
    call = poster.call("strange")

    late = poster.ledger._admit_once(call, "me/1", poster.scope_of(call), expires_ms=poster.now() - 1)

    assert isinstance(late, Refusal)
    assert (late.receipt["stage"], late.receipt["error"]) == ("age", "expired")


def test_an_expiry_that_only_the_message_carries_does_not_count_for_a_registered_call(poster: Poster) -> None:
    call = poster.register()

    assert isinstance(arrives(poster, call, expires_ms=1), Claim)
