"""settle.lua: how an attempt ended, with everything that follows from it, in one step."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gatekeeper.policies.policy import Breaker
from state.agents.facts import MAX_ENTRIES
from state.decision import Refusal
from state.ledger import owner
from state.ledger.attempt import MAX_LOOKS
from state.ledger.owner import Moment
from state.model import AttemptResult, Claim, FactChange
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, DAY, HOUR, LEDGER, MINUTE, SECOND, Poster, event, sure


def put(name: str, value: object) -> FactChange:
    return FactChange((name,), None if value is None else json.dumps(value))


def record(collection: str, *path: str, value: object) -> FactChange:
    return FactChange((collection, *path), None if value is None else json.dumps(value), collection)


# "settled": the key and its call


def test_a_finished_effect_is_kept_for_ever_with_its_result(poster: Poster) -> None:
    claim = poster.publish("hello")

    key = poster.key_of(claim)
    assert (key["state"], key["result"]) == ("done", '{"result":"it went well","rung":null}')
    assert poster.redis.pttl(poster.n.key(claim.key)) == -1
    assert poster.redis.pttl(poster.n.history(claim.key)) == -1
    assert poster.call_of(claim)["state"] == "done"
    assert LEDGER - DAY < poster.redis.pttl(poster.n.call(claim.call)) <= LEDGER
    assert poster.redis.zscore(poster.n.running, claim.key) is None


def test_a_finished_repeat_safe_key_is_forgotten_after_a_week(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=False)

    claim = poster.claim()
    poster.settle(claim)

    assert 0 < poster.redis.pttl(poster.n.key(claim.key)) <= 7 * DAY
    assert 0 < poster.redis.pttl(poster.n.history(claim.key)) <= 7 * DAY


def test_a_flaw_is_kept_with_the_result(poster: Poster) -> None:
    claim = poster.claim()

    poster.settle(claim, flaw='{"error": "output validation failed"}')

    assert poster.key_of(claim)["flaw"] == '{"error": "output validation failed"}'


def test_a_failure_without_another_attempt_is_rejected_and_its_key_is_free(poster: Poster) -> None:
    claim = poster.fail("hello")

    assert poster.key_of(claim)["state"] == "rejected"
    assert poster.call_of(claim)["state"] == "rejected"
    for name in (poster.n.key(claim.key), poster.n.call(claim.call), poster.n.history(claim.key)):
        assert LEDGER - DAY < poster.redis.pttl(name) <= LEDGER


def test_a_failure_with_another_attempt_waits_for_it(poster: Poster) -> None:
    claim = poster.fail("hello", retry_ms=HOUR)

    assert poster.key_of(claim)["state"] == "waiting"
    assert poster.call_of(claim)["state"] == "waiting"
    due = poster.redis.zscore(poster.n.waiting, claim.call) or 0
    assert due - poster.now() == pytest.approx(HOUR, abs=5 * SECOND)
    assert poster.redis.pttl(poster.n.key(claim.key)) == -1


def test_attempts_are_counted_over_the_whole_call(poster: Poster) -> None:
    call = poster.register()

    attempts = []
    for _ in range(3):
        claim = poster.claim(call)
        attempts.append(claim.attempt)
        poster.settle(claim, "failed", retry_ms=1)

    assert attempts == [1, 2, 3]
    assert poster.key_of(call.key)["attempts"] == "3"


def test_an_unknown_outcome_stands_held_for_a_person(poster: Poster) -> None:
    claim = poster.claim()
    poster.cross(claim)

    poster.settle(claim, "unknown", error="read timeout")

    assert poster.key_of(claim)["state"] == "unknown"
    [held] = poster.document()["held"]
    assert (held["key"], held["state"], held["why"]) == (claim.key, "unknown", "read timeout")
    assert held["since"].endswith("Z")
    for name in (poster.n.key(claim.key), poster.n.call(claim.call), poster.n.history(claim.key)):
        assert poster.redis.pttl(name) == -1


def test_a_refusal_at_the_line_frees_the_key(poster: Poster) -> None:
    claim = poster.claim("hello")

    poster.settle(claim, "refused")

    assert poster.key_of(claim)["state"] == "rejected"
    assert poster.claim("hello")


def test_settling_tells_the_events_of_the_attempt(poster: Poster) -> None:
    claim = poster.claim()
    poster.settle(claim)

    assert poster.story(claim.key)[-1]["event"] == "done"
    [(_, entry)] = poster.redis.xrange(poster.n.events)
    assert "attempt" in entry


def test_an_attempt_without_anything_to_tell_can_settle(poster: Poster) -> None:
    call = poster.call()
    claim = poster.claim(call)

    lost = poster.ledger._settle_once(call, claim, poster.scope_of(call), AttemptResult("done", result="{}"))

    assert lost is None
    assert poster.key_of(claim)["state"] == "done"


# "settled" again


@pytest.mark.parametrize("outcome", ["done", "failed", "refused", "unknown"])
def test_settling_twice_is_settling_once(poster_with: WithPolicies, outcome: str) -> None:
    poster = poster_with(cap="10/day", breaker=Breaker(after=2, cooldown="5m"))
    claim = poster.claim()
    poster.cross(claim)
    poster.settle(claim, outcome, counters={"total": 1})  # type: ignore[arg-type]
    before = poster.dump()

    again = poster.settle(claim, outcome, counters={"total": 1})  # type: ignore[arg-type]

    assert again is None
    assert poster.dump() == before


def test_an_answer_that_comes_after_all_ends_the_doubt(poster: Poster) -> None:
    claim = poster.claim()
    poster.cross(claim)
    assert poster.reclaim(claim, dead=False) == "kept"
    poster.end_lease(claim)
    assert poster.reclaim(claim, dead=False) == "unknown"

    assert poster.settle(claim) is None

    assert poster.key_of(claim)["state"] == "done"
    assert poster.document()["held"] == []


# In doubt


def test_an_unknown_outcome_that_can_be_looked_up_is_so_after_a_while(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure(every="60s"))
    claim = poster.doubt()

    due = poster.redis.zscore(poster.n.waiting, claim.call) or 0

    assert due - poster.now() == pytest.approx(MINUTE, abs=5 * SECOND)
    assert poster.marks() == {claim.key: str(claim.fence)}


def test_an_owner_that_says_unknown_itself_is_gone_from_that_moment(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure())
    before = owner.boot_clock()
    claim = poster.doubt()

    key = poster.key_of(claim)

    assert key["gone"] == str(claim.fence)
    assert before.ms <= int(key[f"gone:{before.boot}:{claim.fence}"]) <= owner.boot_clock().ms


def test_an_owner_that_says_unknown_after_it_was_given_up_begins_the_drain_then(poster_with: WithPolicies) -> None:
    """Until that moment it may have sent."""
    poster = poster_with(effect=sure())
    claim = poster.doubt(how="lease ended")
    assert "gone" not in poster.key_of(claim)

    assert poster.settle(claim, "unknown", error="read timeout") is None

    assert poster.key_of(claim)["gone"] == str(claim.fence)
    assert poster.redis.zscore(poster.n.waiting, claim.call) is not None
    [held] = poster.document()["held"]
    assert (held["state"], held["why"]) == ("unknown", "read timeout")


def test_an_attempt_that_was_given_up_and_then_fails_is_one_failure(poster: Poster) -> None:
    claim = poster.doubt(how="lease ended")
    poster.settle(claim, "unknown", counters={"total_failed": 1})

    assert poster.metrics()["total_failed"] == 1


@pytest.mark.parametrize(("outcome", "state"), [("failed", "rejected"), ("refused", "rejected"), ("done", "done")])
def test_an_owner_that_knows_better_ends_the_doubt(poster_with: WithPolicies, outcome: str, state: str) -> None:
    poster = poster_with(effect=sure(), cap="10/day")
    claim = poster.doubt(how="lease ended")

    poster.settle(claim, outcome)  # type: ignore[arg-type]

    assert poster.key_of(claim)["state"] == state
    assert poster.document()["held"] == []
    assert poster.redis.zscore(poster.n.waiting, claim.call) is None
    assert poster.marks() == ({claim.key: str(claim.fence)} if state == "done" else {})
    assert not {"why", "since_ms", "looks", "absences"} & set(poster.key_of(claim))


def test_a_doubt_that_ends_with_another_attempt_waits_for_it_and_not_for_a_look_up(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure())
    claim = poster.doubt(how="lease ended")

    poster.settle(claim, "failed", retry_ms=HOUR)

    due = poster.redis.zscore(poster.n.waiting, claim.call) or 0
    assert due - poster.now() == pytest.approx(HOUR, abs=5 * SECOND)
    assert poster.claim(poster.call("hello", id=claim.call))


def held_after_look_ups(poster: Poster) -> Claim:
    claim = poster.doubt(how="lease ended")
    here = owner.boot_clock()
    for n in range(MAX_LOOKS):
        poster.look(claim, Moment(here.boot, here.ms + n * MINUTE))
    assert poster.key_of(claim)["state"] == "held"
    return claim


def test_a_held_key_is_done_if_its_own_owner_comes_back_and_says_so(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure())
    claim = held_after_look_ups(poster)

    assert poster.settle(claim) is None

    assert (poster.key_of(claim)["state"], poster.call_of(claim)["state"]) == ("done", "done")
    assert poster.document()["held"] == []
    assert poster.redis.pttl(poster.n.key(claim.key)) == -1


@pytest.mark.parametrize("outcome", ["unknown", "failed", "refused"])
def test_a_held_key_stays_held_if_its_owner_says_anything_else(poster_with: WithPolicies, outcome: str) -> None:
    """A person was asked, and may have looked by now."""
    poster = poster_with(effect=sure())
    claim = held_after_look_ups(poster)

    assert poster.settle(claim, outcome) == "held"  # type: ignore[arg-type]
    assert poster.key_of(claim)["state"] == "held"


def test_a_held_key_cannot_be_settled_by_another_attempt(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure())
    claim = held_after_look_ups(poster)
    before = poster.dump()

    assert poster.settle(replace(claim, fence=claim.fence - 1)) == "held"
    assert poster.settle(replace(claim, owner="somebody/1")) == "held"

    assert poster.dump() == before


@pytest.mark.parametrize("message", ["arrives", "is lost"])
def test_a_message_on_its_way_runs_nothing_once_the_call_is_rejected(poster_with: WithPolicies, message: str) -> None:
    """The look-up was sent, then the owner came back: it failed for good. The register must not send it again."""
    poster = poster_with(effect=sure())
    call = poster.register()
    claim = poster.doubt(call, how="lease ended")
    poster.come_due(call, "waiting")
    assert [due.call for due in poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: True)] == [call.id]
    poster.settle(claim, "failed")

    if message == "arrives":
        assert isinstance(poster.admit(call), Refusal)

    if poster.redis.zscore(poster.n.queued, call.id) is not None:
        poster.come_due(call, "queued")
    assert list(poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: True)) == []
    assert poster.redis.zscore(poster.n.queued, call.id) is None
    assert poster.redis.zscore(poster.n.waiting, call.id) is None
    assert poster.call_of(call)["state"] == "rejected"


# The mark of what began its effect


@pytest.mark.parametrize(
    ("outcome", "marked"), [("done", True), ("unknown", True), ("failed", False), ("refused", False)]
)
def test_the_mark_stays_for_what_happened_or_may_have(poster: Poster, outcome: str, marked: bool) -> None:
    claim = poster.claim()
    poster.cross(claim)

    poster.settle(claim, outcome)  # type: ignore[arg-type]

    assert poster.marks() == ({claim.key: str(claim.fence)} if marked else {})


def test_a_failure_before_the_effect_after_a_doubt_keeps_the_payload(poster: Poster) -> None:
    call = poster.register()
    first = poster.claim(call)
    poster.cross(first, '"the first"')
    poster.settle(first, "unknown")
    poster.say_not_applied(first)
    second = poster.claim(call)
    poster.settle(second, "failed", retry_ms=1)

    third = poster.claim(call)

    assert third.payload == '"the first"'
    assert poster.marks() == {}


def test_what_our_own_rules_put_off_was_no_attempt_of_the_call(poster: Poster) -> None:
    call = poster.register()

    attempts = []
    for outcome in ("refused", "refused", "failed", "refused", "failed"):
        claim = poster.claim(call)
        attempts.append(claim.attempt)
        poster.settle(claim, outcome, retry_ms=1)

    assert attempts == [1, 1, 1, 2, 2]


def test_only_what_failed_is_listed_as_dead(poster: Poster) -> None:
    failed, refused, waiting = poster.claim("failed"), poster.claim("refused"), poster.claim("waiting")
    poster.settle(failed, "failed")
    poster.settle(refused, "refused")
    poster.settle(waiting, "failed", retry_ms=HOUR)
    poster.publish("done")
    poster.doubt("unknown")

    assert poster.redis.zrange(poster.n.dead, 0, -1) == [failed.call]


# "lost"


@pytest.mark.parametrize("passed_to", ["queue", "another owner", "nobody"])
def test_settling_a_lost_claim_changes_nothing(poster_with: WithPolicies, passed_to: str) -> None:
    poster = poster_with(cap="10/day", breaker=Breaker(after=1))
    call = poster.register()
    old = poster.claim(call)
    poster.reclaim(old, dead=True)
    if passed_to == "another owner":
        poster.claim(call)
    if passed_to == "nobody":
        poster.redis.flushall()
    before = poster.dump()

    lost = poster.settle(old, "done", facts=(put("last", 1),), counters={"total": 1})

    assert lost == {"queue": "queued", "another owner": "claimed", "nobody": "gone"}[passed_to]
    assert poster.dump() == before


def test_a_held_key_cannot_be_settled_by_the_attempt_that_was_given_up(poster: Poster) -> None:
    call = poster.register()
    for _ in range(3):
        claim = poster.claim(call)
        poster.reclaim(claim, dead=True)

    assert poster.settle(claim) == "held"


# The cap


def test_the_effect_that_reaches_the_cap_pauses_the_agent_and_says_so(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="2/day")
    poster.publish("one")
    assert not poster.document()["paused"]

    poster.publish("two")

    state = poster.document()
    assert state["paused"]
    assert state["pause"]["by"] == "cap"
    assert "2/day" in state["pause"]["why"]
    assert "post:feed:two" in state["pause"]["why"]
    assert poster.story("post:feed:two")[-1]["event"] == "paused"
    assert poster.refused("three")["stage"] == "paused"


def test_effects_that_finish_together_reach_the_cap_only_when_enough_are_done(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="2/day")
    one, two = poster.claim("one"), poster.claim("two")

    poster.settle(one)
    assert not poster.document()["paused"]
    poster.settle(two)

    assert poster.document()["paused"]


def test_an_effect_whose_later_step_failed_counts_below_the_cap(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/day")

    poster.settle(poster.claim(), "done", applied=True, flaw='{"error": "a later step failed"}')

    assert poster.document()["paused"]


def test_a_result_without_an_effect_does_not_count_below_the_cap(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/day")

    poster.settle(poster.claim("one"), "done", applied=False)

    assert not poster.document()["paused"]
    assert poster.claim("two")


def test_a_pause_by_a_person_is_not_overwritten_by_the_cap(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/day")
    claim = poster.claim()
    poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')

    poster.settle(claim)

    assert poster.document()["pause"]["by"] == "ada"


def test_an_effect_counts_for_the_whole_window_however_long_it_took(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="5/minute")
    call = poster.call()
    claim = poster.claim(call)
    [cap] = poster.scope_of(call).caps
    poster.redis.pexpire(cap, 10 * SECOND)  # nearly two windows went by while it ran

    poster.settle(claim)

    assert poster.redis.pttl(cap) >= MINUTE


# The breaker


def test_failures_in_a_row_trip_the_breaker_and_one_success_between_them_does_not(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=3, cooldown="5m"))
    poster.fail("one")
    poster.fail("two")
    poster.publish("three")
    poster.fail("four")
    poster.fail("five")
    poster.claim("still closed")

    poster.fail("six")

    assert poster.refused()["error"] == "breaker open"
    assert poster.story("post:feed:six")[-1]["event"] == "breaker opened"


def test_an_unknown_outcome_is_a_failure_for_the_breaker(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=1))

    poster.fail("one", "unknown")

    assert poster.refused()["error"] == "breaker open"


def test_a_refusal_of_our_own_says_nothing_about_the_provider(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=1))

    poster.fail("one", "refused")

    assert poster.claim("two")


def tripped(poster: Poster) -> None:
    poster.fail("fails")
    poster.pass_time_for_breaker(5 * MINUTE)


def test_a_probe_that_succeeds_closes_the_breaker(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=1, cooldown="5m"))
    tripped(poster)

    poster.publish("probe")

    assert poster.story("post:feed:probe")[-1]["event"] == "breaker closed"
    poster.claim("one")
    poster.claim("two")


def test_a_probe_that_fails_opens_the_breaker_for_another_cooldown(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=3, cooldown="5m"))
    for name in ("one", "two", "three"):
        poster.fail(name)
    poster.pass_time_for_breaker(5 * MINUTE)

    poster.fail("probe")

    receipt = poster.refused()
    assert receipt["error"] == "breaker open"
    assert 290 < receipt["retry_after"] <= 300


def test_an_open_breaker_is_listed_since_it_first_opened_until_a_success(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=1, cooldown="5m"))
    poster.fail("fails")
    (first,) = map(json.loads, poster.redis.hvals(poster.n.breakers))
    poster.pass_time_for_breaker(5 * MINUTE)
    poster.fail("probe")

    (again,) = map(json.loads, poster.redis.hvals(poster.n.breakers))
    assert again["since"] == first["since"]
    assert again["until"] >= first["until"]
    assert (again["failures"], again["cooldown_ms"], again["task"]) == (2, 5 * MINUTE, poster.gate.name)

    poster.pass_time_for_breaker(5 * MINUTE)
    poster.publish("probe")
    assert not poster.redis.exists(poster.n.breakers)


def test_a_probe_that_our_own_rules_refuse_makes_room_for_the_next(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=1, cooldown="5m"))
    tripped(poster)

    poster.fail("probe", "refused")

    assert poster.claim("next probe")
    assert poster.refused("third")["error"] == "breaker is probing"


def test_an_attempt_from_before_the_trip_neither_closes_nor_prolongs_it(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=1, cooldown="5m"))
    slow_success, slow_failure = poster.claim("slow success"), poster.claim("slow failure")
    poster.fail("trips")
    opened = poster.redis.hgetall(poster.gate.limits({}).breaker)

    poster.settle(slow_success)
    poster.settle(slow_failure, "failed")

    assert poster.redis.hgetall(poster.gate.limits({}).breaker) == opened
    assert poster.refused()["error"] == "breaker open"


# The agent's state


def test_facts_counters_and_the_revision_change_with_the_settle(poster: Poster) -> None:
    claim = poster.claim()
    before = poster.revision()
    facts = (put("last", {"id": 1}), record("published", "hello", "feed", value={"url": "u"}))

    poster.settle(claim, facts=facts, counters={"total_published": 2, "total_done": 1})

    state = poster.document()
    assert state["last"] == {"id": 1}
    assert state["published"] == {"hello": {"feed": {"url": "u"}}}
    assert state["metrics"]["total_published"] == 2
    assert state["revision"] > before
    assert state["last_run"] == state["updated_at"]


def test_a_fact_can_be_forgotten(poster: Poster) -> None:
    poster.settle(poster.claim("one"), facts=(put("last", 1), record("published", "one", value=1)))

    poster.settle(poster.claim("two"), facts=(put("last", None), record("published", "one", value=None)))

    state = poster.document()
    assert "last" not in state
    assert "published" not in state


def test_a_forgotten_entry_leaves_its_place_to_others(poster: Poster) -> None:
    full = tuple(record("published", f"{number:03}", value=number) for number in range(MAX_ENTRIES))
    poster.settle(poster.claim("one"), facts=full)
    poster.settle(poster.claim("two"), facts=(record("published", "199", value=None),))

    poster.settle(poster.claim("three"), facts=(record("published", "new", value=1),))

    assert len(poster.document()["published"]) == MAX_ENTRIES
    assert "000" in poster.document()["published"]


def test_a_collection_keeps_its_newest_two_hundred_entries(poster: Poster) -> None:
    for half in range(3):
        facts = tuple(record("published", f"post{half}-{number}", "feed", value=number) for number in range(100))
        poster.settle(poster.claim(f"half{half}"), facts=facts)

    published = poster.document()["published"]
    assert len(published) == MAX_ENTRIES == 200
    assert not any(name.startswith("post0-") for name in published)


def test_each_collection_has_its_own_two_hundred_and_plain_facts_stay(poster: Poster) -> None:
    for collection in ("published", "drafts"):
        facts = tuple(record(collection, f"{number}", value=number) for number in range(MAX_ENTRIES + 10))
        poster.settle(poster.claim(collection), facts=(put(f"plain {collection}", 1), *facts))

    state = poster.document()
    assert (len(state["published"]), len(state["drafts"])) == (MAX_ENTRIES, MAX_ENTRIES)
    assert (state["plain published"], state["plain drafts"]) == (1, 1)


def test_an_entry_that_is_written_again_counts_as_new(poster: Poster) -> None:
    poster.settle(poster.claim("one"), facts=(record("published", "kept", value=1),))
    full = tuple(record("published", f"{number}", value=number) for number in range(MAX_ENTRIES - 1))
    poster.settle(poster.claim("two"), facts=full)
    poster.redis.zadd(poster.n.collection("published"), {'["published","0"]': 1})
    poster.settle(poster.claim("three"), facts=(record("published", "kept", value=2),))

    poster.settle(poster.claim("four"), facts=(record("published", "one more", value=1),))

    published = poster.document()["published"]
    assert published["kept"] == 2
    assert "0" not in published


def test_the_last_twenty_errors_are_kept_newest_first(poster: Poster) -> None:
    for number in range(25):
        poster.fail(f"post{number}", error=f"problem {number}")

    errors = poster.document()["errors"]

    assert [error["error"] for error in errors] == [f"problem {number}" for number in range(24, 4, -1)]
    assert errors[0]["key"] == "post:feed:post24"


@pytest.mark.parametrize("outcome", ["done", "failed", "refused", "unknown"])
def test_every_end_of_an_attempt_increases_the_revision(poster: Poster, outcome: str) -> None:
    claim = poster.claim()
    before = poster.revision()

    poster.settle(claim, outcome)  # type: ignore[arg-type]

    assert poster.revision() > before


def test_the_event_stream_stays_short(poster: Poster) -> None:
    poster.redis.xadd(poster.n.events, {"attempt": "old"})
    with poster.redis.pipeline() as pipe:
        for _ in range(3000):
            pipe.xadd(poster.n.events, {"attempt": "old"})
        pipe.execute()

    poster.publish()

    assert poster.redis.xlen(poster.n.events) < 1200


def test_an_attempt_with_a_hundred_events_settles(poster: Poster) -> None:
    call = poster.call()
    claim = poster.claim(call)
    settlement = AttemptResult("done", result="{}", events=[event(f"event {number}") for number in range(100)])

    assert poster.ledger._settle_once(call, claim, poster.scope_of(call), settlement) is None
    assert len(poster.story(claim.key)) == 101
