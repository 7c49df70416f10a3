"""reclaim.lua: what becomes of a claim whose owner is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatekeeper.policies.policy import Breaker
from state.journal import events
from state.ledger import owner
from state.model import AttemptResult
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, MINUTE, SECOND, Poster, sure


def test_a_claim_of_a_living_owner_is_kept(poster: Poster) -> None:
    claim = poster.claim()
    before = poster.dump()

    assert poster.reclaim(claim, dead=False) == "kept"

    assert poster.dump() == before


@pytest.mark.parametrize("proof", ["dead", "lease ended"])
def test_before_the_effect_the_call_is_queued_again_at_once(poster: Poster, proof: str) -> None:
    call = poster.register()
    claim = poster.claim(call)
    if proof == "lease ended":
        poster.end_lease(claim)

    assert poster.reclaim(claim, dead=proof == "dead") == "queued"

    assert poster.key_of(claim)["state"] == "queued"
    assert poster.call_of(call)["state"] == "queued"
    assert [due.call for due in poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: True)] == [call.id]
    assert poster.redis.zscore(poster.n.running, claim.key) is None
    assert poster.document()["held"] == []


def test_after_the_line_the_outcome_is_unknown_and_the_key_waits_for_a_person(poster: Poster) -> None:
    claim = poster.claim()
    poster.cross(claim)

    assert poster.reclaim(claim, dead=True) == "unknown"

    assert poster.key_of(claim)["state"] == "unknown"
    assert poster.redis.zscore(poster.n.waiting, claim.call) is None
    [held] = poster.document()["held"]
    assert (held["key"], held["state"]) == (claim.key, "unknown")
    assert "after its effect began" in held["why"]
    assert poster.metrics()["total_failed"] == 1


def test_a_call_that_took_a_third_worker_down_is_held(poster: Poster) -> None:
    call = poster.register()

    stands = [poster.reclaim(poster.claim(call), dead=True) for _ in range(3)]

    assert stands == ["queued", "queued", "held"]
    assert poster.redis.zscore(poster.n.waiting, call.id) is None
    [held] = poster.document()["held"]
    assert (held["key"], held["state"]) == (call.key, "held")
    assert "3 times" in held["why"]


def test_a_reclaimed_call_tells_why_in_its_story(poster: Poster) -> None:
    claim = poster.claim(owner="me/1")
    poster.reclaim(claim, dead=True)

    told = poster.story(claim.key)[-1]

    assert (told["event"], told["why"], told["owner"], told["fence"]) == (
        "queued",
        "its worker died",
        "me/1",
        claim.fence,
    )


def test_reclaiming_twice_counts_one_lost_worker(poster: Poster) -> None:
    claim = poster.claim()
    poster.reclaim(claim, dead=True)
    before = poster.dump()

    assert poster.reclaim(claim, dead=True) == "kept"

    assert poster.dump() == before


def test_a_claim_that_passed_on_is_kept_for_its_new_owner(poster: Poster) -> None:
    call = poster.register()
    old = poster.claim(call)
    poster.reclaim(old, dead=True)
    poster.claim(call)

    assert poster.reclaim(old, dead=True) == "kept"
    assert poster.key_of(old)["state"] == "claimed"


@pytest.mark.parametrize("end", ["done", "failed", "unknown"])
def test_a_settled_claim_is_kept_as_it_is(poster: Poster, end: str) -> None:
    claim = poster.claim()
    poster.settle(claim, end)  # type: ignore[arg-type]
    before = poster.dump()

    assert poster.reclaim(claim, dead=True) == "kept"

    assert poster.dump() == before


@pytest.mark.parametrize("line", ["before", "after"])
def test_each_reclaim_increases_the_revision(poster: Poster, line: str) -> None:
    claim = poster.claim()
    if line == "after":
        poster.cross(claim)
    before = poster.revision()

    poster.reclaim(claim, dead=True)

    assert poster.revision() > before


def test_a_probe_lost_after_the_line_is_replaced(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=1, cooldown="5m"))
    poster.fail("fails")
    poster.pass_time_for_breaker(5 * MINUTE)
    probe = poster.claim("probe")
    poster.cross(probe)

    assert poster.reclaim(probe, dead=True) == "unknown"

    poster.pass_time_for_breaker(2 * MINUTE)
    assert poster.claim("next")


def test_a_claim_taken_back_before_the_effect_gives_back_its_place_in_the_caps(poster_with: WithPolicies) -> None:
    poster = poster_with(cap=["1/hour", "1/day"])
    claim = poster.claim("hello")

    assert poster.reclaim(claim, dead=True) == "queued"

    assert poster.claim("other")


# In doubt


@pytest.mark.parametrize("how", ["died", "lease ended"])
def test_a_doubt_that_can_be_looked_up_is_so_after_a_while(poster_with: WithPolicies, how: str) -> None:
    poster = poster_with(effect=sure(every="60s"))
    claim = poster.doubt(how=how)

    due = poster.redis.zscore(poster.n.waiting, claim.call) or 0

    assert due - poster.now() == pytest.approx(MINUTE, abs=5 * SECOND)
    [held] = poster.document()["held"]
    assert (held["key"], held["state"]) == (claim.key, "unknown")
    assert poster.marks() == {claim.key: str(claim.fence)}


def test_only_an_owner_that_is_proven_dead_counts_as_gone(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure())
    before = owner.boot_clock()
    died, silent = poster.doubt("died", how="died"), poster.doubt("silent", how="lease ended")

    key = poster.key_of(died)
    assert key["gone"] == str(died.fence)
    assert before.ms <= int(key[f"gone:{before.boot}:{died.fence}"]) <= owner.boot_clock().ms
    assert not [name for name in poster.key_of(silent) if name.startswith("gone")]


def test_what_the_owner_wrote_down_last_counts_and_not_that_it_died(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure()).open()
    call = poster.register()
    claim = poster.claim(call)
    poster.cross(claim)
    events.outcome(
        poster.ledger.journal, claim, AttemptResult("done", result='{"result":1,"rung":null}', effect_happened=True)
    )

    assert poster.reclaim(claim, dead=True) == "done"

    assert poster.replayed(call).result == '{"result":1,"rung":null}'
    assert poster.document()["held"] == []
    assert poster.redis.zscore(poster.n.running, claim.key) is None
    assert poster.marks() == {claim.key: str(claim.fence)}


@pytest.mark.parametrize(("retry_ms", "stands"), [(1, "waiting"), (None, "rejected")])
def test_a_failure_that_the_owner_wrote_down_frees_the_key(poster: Poster, retry_ms: int | None, stands: str) -> None:
    poster.open()
    call = poster.register()
    claim = poster.claim(call)
    poster.cross(claim)
    events.outcome(poster.ledger.journal, claim, AttemptResult("failed", error="404", retry_ms=retry_ms))

    assert poster.reclaim(claim, dead=True) == stands

    assert poster.key_of(claim)["state"] == stands
    assert poster.marks() == {}
    assert (poster.redis.zscore(poster.n.waiting, call.id) is not None) == (stands == "waiting")


def test_what_an_earlier_attempt_wrote_down_says_nothing_of_this_one(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure()).open()
    call = poster.register()
    first = poster.claim(call)
    poster.cross(first)
    poster.settle(first, "failed", retry_ms=1, journaled=True)
    second = poster.claim(call)
    poster.cross(second)

    assert poster.reclaim(second, dead=True) == "unknown"


def test_a_worker_that_was_asked_to_end_poisons_nothing(poster: Poster) -> None:
    name = poster.a_dead_process("leaver")
    owner.folder().joinpath("leaver.lock").write_bytes(owner.LEAVING)
    call = poster.register()

    stands = [poster.reclaim(poster.claim(call, owner=name), dead=True) for _ in range(4)]

    assert stands == ["queued"] * 4


def test_workers_that_were_asked_to_end_do_not_count_with_those_that_died(poster: Poster) -> None:
    name = poster.a_dead_process("leaver")
    owner.folder().joinpath("leaver.lock").write_bytes(owner.LEAVING)
    call = poster.register()
    owners = [name, name, None, None, None]

    stands = [poster.reclaim(poster.claim(call, owner=each), dead=True) for each in owners]

    assert stands == ["queued"] * 4 + ["held"]


@pytest.mark.parametrize("other", ["owner", "fence"])
def test_only_the_very_claim_that_was_looked_at_is_taken(poster: Poster, other: str) -> None:
    claim = poster.claim(poster.register())
    wrong = replace(claim, owner="somebody/1") if other == "owner" else replace(claim, fence=claim.fence + 1)
    before = poster.dump()

    assert poster.reclaim(wrong, dead=True) == "kept"

    assert poster.dump() == before


def test_poison_leaves_no_mark_and_no_place_in_the_caps(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/day")
    call = poster.register()
    for _ in range(3):
        poster.reclaim(poster.claim(call), dead=True)

    assert poster.key_of(call.key)["state"] == "held"
    assert poster.marks() == {}
    assert poster.redis.zscore(poster.n.running, call.key) is None
    assert poster.redis.pttl(poster.n.key(call.key)) == -1
    assert poster.claim("other")
