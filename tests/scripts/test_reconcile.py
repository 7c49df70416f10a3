"""reconcile.lua: what a look-up that did not find the effect proves, and what happens to its call then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from state.ledger import owner, resolve
from state.ledger.attempt import MAX_LOOKS, MAX_PROOFS
from state.ledger.owner import Moment
from state.model import Claim
from state.recovery.rebuild import Progress
from state.recovery.recover import recover
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, MINUTE, SECOND, Poster, sure

DRAIN, EVERY = 90 * SECOND, MINUTE
#: More than the time in which a test runs.
SLACK = 5 * SECOND


def after(ms: int, boot: str = "") -> Moment:
    """So long from now, by the clock since boot; in this run of the machine, or in another."""
    here = owner.boot_clock()
    return Moment(boot or here.boot, here.ms + ms)


@pytest.fixture
def poster(poster_with: WithPolicies) -> Poster:
    """Its effect can be looked up: gone after 90 s, absent twice, a minute apart."""
    return poster_with(effect=sure(), cap="10/day").open()


def state_of(poster: Poster, claim: Claim) -> str:
    return poster.key_of(claim)["state"]


def prove_absent(poster: Poster, claim: Claim) -> None:
    assert poster.look(claim, after(DRAIN + SLACK))[0] == "unknown"
    assert poster.look(claim, after(DRAIN + SLACK + EVERY)) == ["waiting"]


# "waiting": proven absent


@pytest.mark.parametrize("how", ["it says so", "died"])
def test_absent_often_enough_and_late_enough_is_proof_and_the_call_is_sent_again(poster: Poster, how: str) -> None:
    call = poster.register()
    claim = poster.doubt(call, how=how)

    prove_absent(poster, claim)

    assert (state_of(poster, claim), poster.call_of(call)["state"]) == ("waiting", "waiting")
    assert [due.call for due in poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: True)] == [call.id]
    assert poster.document()["held"] == []
    told = poster.story(claim.key)[-1]
    assert (told["event"], told["why"], told["absences"], told["drain"]) == ("waiting", "proven absent", 2, 90)
    [record] = poster.records("absent")
    assert (record["key"], record["fence"]) == (claim.key, claim.fence)


def test_what_is_sent_again_is_the_stored_payload_under_a_new_fence(poster: Poster) -> None:
    call = poster.register()
    claim = poster.doubt(call)
    prove_absent(poster, claim)

    again = poster.claim(call)

    assert (again.payload, again.attempt) == ('"hello"', 2)
    assert again.fence > claim.fence
    assert poster.cross(again, '"another text"') == ["sending", '"hello"']
    assert poster.marks() == {claim.key: str(again.fence)}


def test_while_its_agent_is_paused_what_was_proven_absent_waits_and_is_not_given_up(poster: Poster) -> None:
    """Nobody would ask for it again."""
    call = poster.register()
    claim = poster.doubt(call)
    poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')
    prove_absent(poster, claim)

    assert poster.deferred(call)["stage"] == "paused"
    poster.redis.hdel(poster.n.agent_meta, "pause")

    assert poster.claim(call).payload == '"hello"'


def test_a_key_proven_absent_carries_nothing_of_the_doubt_any_more(poster: Poster) -> None:
    claim = poster.doubt()

    prove_absent(poster, claim)

    left = [
        name for name in poster.key_of(claim) if name.startswith(("gone", "absen", "look", "why", "since", "lease"))
    ]
    assert left == []
    assert poster.marks() == {}
    for name in (poster.n.key(claim.key), poster.n.call(claim.call), poster.n.history(claim.key)):
        assert poster.redis.pttl(name) == -1


def test_the_place_in_the_cap_is_taken_once(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure(), cap="2/day").open()
    call = poster.register()
    claim = poster.doubt(call)
    prove_absent(poster, claim)

    again = poster.claim(call)
    poster.cross(again)
    poster.settle(again)

    assert not poster.document()["paused"]
    assert poster.claim("other")


def test_absences_of_an_earlier_doubt_do_not_count_for_the_next(poster: Poster) -> None:
    call = poster.register()
    prove_absent(poster, poster.doubt(call))

    second = poster.doubt(call)

    assert poster.look(second, after(2 * DRAIN))[0] == "unknown"
    assert state_of(poster, second) == "unknown"


def test_absences_of_a_doubt_that_a_person_ended_do_not_count_for_the_next(poster: Poster) -> None:
    call = poster.register()
    first = poster.doubt(call)
    poster.look(first, after(DRAIN + SLACK))
    word = resolve.Resolution("not-applied", "ada", "looked")
    poster.ledger.resolve(AGENT, call.key, word)

    second = poster.doubt(call)

    assert poster.look(second, after(2 * DRAIN))[0] == "unknown"


def test_that_an_earlier_attempt_ended_says_nothing_of_the_owner_of_this_one(poster: Poster) -> None:
    call = poster.register()
    first = poster.doubt(call)
    poster.ledger.resolve(AGENT, call.key, resolve.Resolution("not-applied", "ada", "looked"))
    second = poster.doubt(call, how="lease ended")
    assert second.fence > first.fence

    answers = [poster.look(second, after(n * DRAIN))[0] for n in range(4)]

    assert answers == ["unknown"] * 4
    assert "absences" not in poster.key_of(second)


# "unknown": not yet proof


def test_absent_before_the_drain_proves_nothing(poster: Poster) -> None:
    claim = poster.doubt()

    for ms in (0, EVERY, DRAIN - SLACK):
        poster.look(claim, after(ms))

    assert poster.look(claim, after(DRAIN + SLACK))[0] == "unknown", "the first of two"
    assert poster.key_of(claim)["absences"] == "1"


def test_two_look_ups_closer_than_the_pause_are_one(poster: Poster) -> None:
    claim = poster.doubt()
    first = after(DRAIN + SLACK)
    poster.look(claim, first)

    assert poster.look(claim, Moment(first.boot, first.ms + EVERY - 1))[0] == "unknown"
    assert poster.look(claim, Moment(first.boot, first.ms + EVERY)) == ["waiting"]


def test_look_ups_that_answer_in_another_order_than_they_began_are_one(poster: Poster) -> None:
    claim = poster.doubt()
    poster.look(claim, after(DRAIN + SLACK + EVERY))

    assert poster.look(claim, after(DRAIN + SLACK))[0] == "unknown"
    assert poster.key_of(claim)["absences"] == "1"


def test_many_look_ups_at_once_are_one(
    poster: Poster, together: Callable[[int, Callable[[int], Any]], list[Any]]
) -> None:
    claim, began = poster.doubt(), after(DRAIN + SLACK)

    answers = together(8, lambda _: poster.look(claim, began))

    assert {answer[0] for answer in answers} == {"unknown"}
    assert poster.key_of(claim)["absences"] == "1"


def test_as_long_as_the_owner_may_live_absence_proves_nothing(poster: Poster) -> None:
    claim = poster.doubt(how="lease ended")

    for n in range(5):
        assert poster.look(claim, after(DRAIN + n * 10 * EVERY))[0] == "unknown"

    assert "absences" not in poster.key_of(claim)


def test_the_drain_begins_when_the_death_is_proven_and_not_before(poster: Poster) -> None:
    claim = poster.doubt(how="lease ended")
    dies = 10 * EVERY
    poster.look(claim, after(dies), dead=True)

    poster.look(claim, after(dies + DRAIN - SLACK), dead=True)
    assert "absences" not in poster.key_of(claim)
    poster.look(claim, after(dies + DRAIN + SLACK), dead=True)
    assert poster.key_of(claim)["absences"] == "1"


def test_a_death_once_proven_stays_proven(poster: Poster) -> None:
    """The lock file may be buried by the next look-up."""
    claim = poster.doubt(how="lease ended")
    poster.look(claim, after(0), dead=True)

    prove_absent(poster, claim)


def test_after_a_restart_of_the_machine_the_drain_begins_anew(poster: Poster) -> None:
    """The clock since boot begins at zero, and what was on its way may still be."""
    claim = poster.doubt(how="died")

    poster.look(claim, Moment("another boot", 7))
    poster.look(claim, Moment("another boot", 7 + DRAIN - 1))
    assert "absences" not in poster.key_of(claim)
    poster.look(claim, Moment("another boot", 7 + DRAIN))
    assert poster.key_of(claim)["absences"] == "1"
    assert poster.look(claim, Moment("another boot", 7 + DRAIN + EVERY)) == ["waiting"]


def test_a_larger_number_of_another_boot_is_not_later(poster: Poster) -> None:
    claim = poster.doubt(how="died")

    poster.look(claim, after(100 * DRAIN, boot="another boot"))

    assert "absences" not in poster.key_of(claim)


def test_a_look_up_that_failed_proves_nothing_and_is_no_absence(poster: Poster) -> None:
    claim = poster.doubt()

    for n in range(4):
        assert poster.look(claim, after(DRAIN + SLACK + n * EVERY), absent=False)[0] == "unknown"

    assert "absences" not in poster.key_of(claim)


def test_each_look_up_is_told_with_how_far_the_proof_is(poster: Poster) -> None:
    claim = poster.doubt()
    before = poster.revision()
    poster.look(claim, after(DRAIN + SLACK))

    did, told = poster.story(claim.key)[-2:]
    assert (did["event"], told["event"]) == ("verify", "unknown")
    assert (told["absences"], told["needed"], told["owner_gone"], told["next_look"]) == (1, 2, True, 60)
    assert poster.revision() > before


def test_of_an_owner_that_may_live_the_story_says_that_it_is_not_gone(poster: Poster) -> None:
    claim = poster.doubt(how="lease ended")

    poster.look(claim, after(DRAIN + SLACK))

    assert poster.story(claim.key)[-1]["owner_gone"] is False


# When the next look-up is


def pause_of(poster: Poster, claim: Claim, began: Moment, **how: bool) -> int:
    """What is answered, which must be what is booked."""
    word, ms = poster.look(claim, began, **how)
    assert word == "unknown"
    due = poster.redis.zscore(poster.n.waiting, claim.call) or 0
    assert due - poster.now() == pytest.approx(ms, abs=SLACK)
    return int(ms)


def test_once_the_owner_is_gone_the_next_look_up_waits_for_the_drain_and_then_keeps_its_pace(poster: Poster) -> None:
    claim = poster.doubt(how="lease ended")

    pauses = [pause_of(poster, claim, after(ms), dead=True) for ms in (0, DRAIN - EVERY // 2, DRAIN + SLACK)]

    assert pauses == [DRAIN, EVERY, EVERY]


def test_an_owner_that_may_live_is_given_more_time_at_each_look_up(poster: Poster) -> None:
    claim = poster.doubt(how="lease ended")

    pauses = [pause_of(poster, claim, after(n * EVERY)) for n in range(6)]

    assert pauses == [EVERY, 2 * EVERY, 4 * EVERY, 8 * EVERY, 10 * EVERY, 10 * EVERY]


def test_a_look_up_books_the_next_before_it_asks(poster: Poster) -> None:
    """Should the process die while it asks."""
    call = poster.register()
    claim = poster.doubt(call)
    poster.come_due(call, "waiting")

    asked = poster.asked(claim)

    assert (asked.owner, asked.fence, asked.payload, asked.attempt) == (claim.owner, claim.fence, '"hello"', 1)
    assert (poster.redis.zscore(poster.n.waiting, call.id) or 0) - poster.now() == pytest.approx(EVERY, abs=SLACK)
    assert state_of(poster, claim) == "unknown"


def test_another_call_of_a_key_in_doubt_is_refused_and_looks_nothing_up(poster: Poster) -> None:
    claim = poster.doubt("hello")

    assert poster.refused("hello")["error"] == "outcome unknown"
    assert state_of(poster, claim) == "unknown"


# "held"


def test_after_enough_look_ups_without_proof_a_person_is_asked(poster: Poster) -> None:
    claim = poster.doubt(how="lease ended")
    [before] = poster.document()["held"]
    answers = [poster.look(claim, after(n * EVERY)) for n in range(MAX_LOOKS)]

    assert [answer[0] for answer in answers[:-1]] == ["unknown"] * (MAX_LOOKS - 1)
    assert answers[-1] == ["held", f"{MAX_LOOKS} look-ups, and no proof either way"]
    assert (state_of(poster, claim), poster.call_of(claim)["state"]) == ("held", "held")
    assert poster.redis.zscore(poster.n.waiting, claim.call) is None
    [held] = poster.document()["held"]
    assert (held["state"], held["why"], held["since"]) == ("held", answers[-1][1], before["since"])
    assert poster.story(claim.key)[-1]["event"] == "held"
    assert poster.marks() == {claim.key: str(claim.fence)}
    [listed] = poster.ledger.held(AGENT)
    assert (listed["key"], listed["payload"]) == (claim.key, "hello")


def test_the_last_look_up_may_still_be_the_proof(poster: Poster) -> None:
    claim = poster.doubt()
    for n in range(MAX_LOOKS - 2):
        poster.look(claim, after(n * EVERY), absent=False)
    poster.look(claim, after(MAX_LOOKS * EVERY))

    assert poster.look(claim, after((MAX_LOOKS + 1) * EVERY)) == ["waiting"]


def test_a_key_that_is_in_doubt_again_and_again_is_held_though_proven_absent(poster: Poster) -> None:
    call = poster.register()
    for _ in range(MAX_PROOFS):
        prove_absent(poster, poster.doubt(call))
    last = poster.doubt(call)
    poster.look(last, after(DRAIN + SLACK))

    word, why = poster.look(last, after(DRAIN + SLACK + EVERY))

    assert (word, state_of(poster, last)) == ("held", "held")
    assert f"{MAX_PROOFS} times" in why
    assert poster.records("absent")[-1]["fence"] < last.fence, "what is held is not free"


def test_a_call_in_doubt_that_is_held_answers_so_when_its_message_comes(poster: Poster) -> None:
    call = poster.register()
    claim = poster.doubt(call, how="lease ended")
    for n in range(MAX_LOOKS):
        poster.look(claim, after(n * EVERY))

    answer: Any = poster.admit(call)

    assert (answer.again, answer.receipt["error"]) == (True, "held")


# "kept"


@pytest.mark.parametrize("decided", ["done", "rejected", "waiting", "cancelled", "gone"])
def test_a_look_up_that_comes_too_late_changes_nothing(poster: Poster, decided: str) -> None:
    claim = poster.doubt()
    match decided:
        case "done":
            poster.settle(claim)
        case "rejected":
            poster.settle(claim, "failed")
        case "waiting":
            prove_absent(poster, claim)
        case "cancelled":
            poster.ledger.resolve(AGENT, claim.key, resolve.Resolution("cancel", "ada", "no"))
        case "gone":
            poster.redis.flushall()
    before = poster.dump()

    assert poster.look(claim, after(10 * DRAIN)) == ["kept", decided]

    assert poster.dump() == before


def test_a_look_up_of_an_earlier_attempt_changes_nothing(poster: Poster) -> None:
    call = poster.register()
    old = poster.doubt(call)
    prove_absent(poster, old)
    new = poster.doubt(call)
    before = poster.dump()

    assert poster.look(old, after(10 * DRAIN), dead=True) == ["kept", "unknown"]

    assert poster.dump() == before
    assert state_of(poster, new) == "unknown"


def test_an_old_fence_of_the_same_owner_is_an_earlier_attempt_too(poster: Poster) -> None:
    call = poster.register()
    old = poster.doubt(call, owner="me/1")
    prove_absent(poster, old)
    poster.doubt(call, owner="me/1")
    before = poster.dump()

    assert poster.look(old, after(10 * DRAIN), dead=True) == ["kept", "unknown"]

    assert poster.dump() == before


def test_a_look_up_for_another_owner_changes_nothing(poster: Poster) -> None:
    claim = poster.doubt(owner="me/1")
    before = poster.dump()
    other = Claim(AGENT, claim.key, claim.call, "you/1", claim.fence, 1, 0)

    assert poster.look(other, after(10 * DRAIN), dead=True) == ["kept", "unknown"]
    assert poster.dump() == before


def test_an_effect_that_cannot_be_looked_up_is_nothing_to_judge(poster_with: WithPolicies) -> None:
    poster = poster_with().open()
    claim = poster.doubt()

    assert poster.redis.zscore(poster.n.waiting, claim.call) is None
    assert poster.look(claim, after(10 * DRAIN), dead=True) == ["kept", "unknown"]


# A look-up that finds it


def test_what_a_look_up_finds_is_done_once(poster: Poster) -> None:
    call = poster.register()
    claim = poster.doubt(call)
    poster.look(claim, after(DRAIN + SLACK))

    for _ in range(2):
        assert poster.settle(claim, "done", counters={"total_done": 1}) is None

    key = poster.key_of(claim)
    assert (key["state"], poster.call_of(call)["state"]) == ("done", "done")
    assert [name for name in key if name in {"why", "since_ms", "looks", "absences"}] == []
    assert poster.metrics()["total_done"] == 1
    assert poster.document()["held"] == []
    assert poster.redis.zscore(poster.n.waiting, call.id) is None
    assert poster.marks() == {claim.key: str(claim.fence)}
    assert poster.redis.pttl(poster.n.key(claim.key)) == -1


@pytest.mark.parametrize("how", ["it says so", "died"])
def test_what_a_slow_look_up_finds_after_all_is_not_sent_again(poster: Poster, how: str) -> None:
    """Two look-ups at once, of which the quicker was the last absence: what happened, happened."""
    call = poster.register()
    claim = poster.doubt(call, how=how)
    prove_absent(poster, claim)

    poster.settle(claim, "done")

    assert state_of(poster, claim) == "done"
    assert poster.replayed(call)


# After a recovery


def recovered(poster: Poster) -> None:
    poster.redis.flushall()
    recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())
    poster.open()


def test_a_doubt_that_was_rebuilt_from_the_journal_can_be_looked_up(poster: Poster) -> None:
    call = poster.register()
    claim = poster.doubt(call)
    recovered(poster)

    asked = poster.asked(claim)

    assert (asked.owner, asked.fence, asked.payload) == (claim.owner, claim.fence, '"hello"')
    assert poster.look(asked, after(0), dead=True) == ["unknown", DRAIN]


def test_a_provider_that_says_itself_that_it_is_away_is_left_alone_and_uses_up_no_look_up(
    poster_with: WithPolicies,
) -> None:
    poster = poster_with(effect=sure())
    claim = poster.doubt()

    for _ in range(MAX_LOOKS + 1):
        assert poster.look(claim, owner.boot_clock(), absent=False, away_ms=3_600_000) == ["unknown", 3_600_000]

    assert poster.key_of(claim)["looks"] == "0"
    due = poster.redis.zscore(poster.n.waiting, claim.call)
    assert due is not None
    assert due - poster.now() > 3_500_000
