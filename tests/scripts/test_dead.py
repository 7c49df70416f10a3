"""The death of a process that another host proved, or that a person vouches for: dead.lua, reconcile.lua and the sweep."""

from __future__ import annotations

import pytest

from state.agents.audit import Said
from state.ledger import owner
from state.ledger.attempt import MAX_LOOKS
from state.ledger.owner import Moment
from state.ledger.sweep import POISON_AFTER
from state.model import Claim
from state.processes import hosts
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, MINUTE, SECOND, Poster, sure

FAR = "web2.abcdef-77-0123abcd"
GONE = Said("host-gone", "ada", why="it burned down", subject="web2.abcdef")


@pytest.fixture
def sure_poster(poster_with: WithPolicies) -> Poster:
    """A task whose effect can be looked up."""
    return poster_with(effect=sure(drain="90s", absences=2, every="60s")).open()


def at(seconds: float, boot: str = "here") -> Moment:
    return Moment(boot, int(seconds * SECOND))


def state_of(poster: Poster, claim: Claim) -> str:
    return poster.key_of(claim)["state"]


def say_dead(poster: Poster, claim: Claim) -> bool:
    [each] = [each for each in poster.ledger.host_claims([AGENT]) if each.key == claim.key]
    return poster.ledger._say_dead(each, "its process is dead: web2.abcdef says so")


def test_without_word_of_a_death_absences_from_elsewhere_prove_nothing(sure_poster: Poster) -> None:
    claim = sure_poster.doubt(owner=f"{FAR}/1", how="its lease ended")

    for n in range(5):
        assert sure_poster.look(sure_poster.asked(claim), at(1000 * n))[0] == "unknown"
        sure_poster.come_due(sure_poster._calls[claim.call], "waiting")

    assert sure_poster.ledger.report_deaths([AGENT]) == []
    assert state_of(sure_poster, claim) == "unknown"


def test_after_it_the_drain_begins_with_the_first_look_up_that_was_admitted_since(sure_poster: Poster) -> None:
    claim = sure_poster.doubt(owner=f"{FAR}/1", how="its lease ended")
    assert say_dead(sure_poster, claim)
    assert not say_dead(sure_poster, claim), "it is known"

    # Two that were under way when the word came may have begun before the death: neither begins the drain.
    under_way = [sure_poster.look(claim, at(seconds), knew_death=False) for seconds in (0, 30)]
    looks = [*under_way, *(sure_poster.look(claim, at(seconds)) for seconds in (60, 149, 151, 212))]

    # The third one begins the drain of 90 s, and the fourth is within it.
    assert [answer[0] for answer in looks] == [*["unknown"] * 5, "waiting"]
    assert looks[0][1] == 60 * SECOND, "and the look-up after it is not put off"


def test_word_of_a_death_makes_a_look_up_due_at_once(sure_poster: Poster) -> None:
    claim = sure_poster.doubt(owner=f"{FAR}/1", how="its lease ended")
    assert sure_poster.redis.zscore(sure_poster.n.waiting, claim.call) > sure_poster.now() + 30 * SECOND

    say_dead(sure_poster, claim)

    assert sure_poster.redis.zscore(sure_poster.n.waiting, claim.call) <= sure_poster.now()
    told = sure_poster.story(claim.key)[-1]
    assert (told["event"], told["why"], told["owner_gone"]) == (
        "unknown",
        "its process is dead: web2.abcdef says so",
        True,
    )


def test_a_key_that_is_held_because_no_look_up_proved_anything_is_looked_up_anew(sure_poster: Poster) -> None:
    claim = sure_poster.doubt(owner=f"{FAR}/1", how="its lease ended")
    for n in range(MAX_LOOKS):
        sure_poster.look(claim, at(1000 * n))
    assert state_of(sure_poster, claim) == "held"

    assert say_dead(sure_poster, claim)

    assert state_of(sure_poster, claim) == "unknown"
    assert sure_poster.document()["held"][0]["state"] == "unknown"
    assert [sure_poster.look(claim, at(s))[0] for s in (0, 60, 200, 300)][-1] == "waiting"


def test_an_effect_that_cannot_be_looked_up_stays_for_a_person_who_may_now_say_that_it_did_not_happen(
    poster: Poster,
) -> None:
    claim = poster.open().doubt(owner=f"{FAR}/1", how="its lease ended")

    assert say_dead(poster, claim)

    assert state_of(poster, claim) == "unknown"
    assert poster.key_of(claim)["gone"] == str(claim.fence)


def test_poison_and_newer_attempts_are_left_alone(sure_poster: Poster) -> None:
    claim = sure_poster.doubt(owner=f"{FAR}/1", how="its lease ended")
    [before] = sure_poster.ledger.host_claims([AGENT])
    sure_poster.say_not_applied(claim)
    newer = sure_poster.claim(sure_poster._calls[claim.call], owner=f"{FAR}/2")
    dump = sure_poster.dump()

    assert not sure_poster.ledger._say_dead(before, "too late")

    assert sure_poster.dump() == dump
    assert newer.fence > claim.fence


def test_poison_is_not_a_doubt_of_its_host(sure_poster: Poster) -> None:
    call = sure_poster.call("deadly")
    for _ in range(POISON_AFTER):
        claim = sure_poster.claim(call, owner=sure_poster.a_dead_process())
        sure_poster.reclaim(claim, dead=True)
        if state_of(sure_poster, claim) == "queued":
            sure_poster.come_due(call, "waiting")

    assert state_of(sure_poster, claim) == "held"
    assert sure_poster.ledger.host_claims([AGENT]) == []


# The sweep of a host


def test_a_host_says_of_its_own_dead_processes_that_they_are_dead(sure_poster: Poster) -> None:
    claim = sure_poster.doubt(owner=sure_poster.a_dead_process(), how="its lease ended")

    [reported] = sure_poster.ledger.report_deaths([AGENT])

    assert (reported.agent, reported.key) == (AGENT, claim.key)
    assert sure_poster.key_of(claim)["gone"] == str(claim.fence)
    assert sure_poster.ledger.report_deaths([AGENT]) == [], "once"


@pytest.fixture
def living(monkeypatch: pytest.MonkeyPatch) -> str:
    """An owner of this process, whose lock file is in the folder of this test."""
    monkeypatch.setattr(owner, "_process", None)
    return owner.new()


def test_it_says_nothing_of_a_process_that_lives(sure_poster: Poster, living: str) -> None:
    sure_poster.doubt(owner=living, how="its lease ended")

    assert sure_poster.ledger.report_deaths([AGENT]) == []


# A host that is gone


def host_gone(poster: Poster) -> list[str]:
    claims = [each for each in poster.ledger.host_claims([AGENT]) if each.host == "web2.abcdef" and not each.is_over]
    return [each.state for each in poster.ledger.host_gone("abcdef", "web2.abcdef", claims, GONE)]


def test_what_a_host_that_is_gone_had_claimed_is_free_and_what_it_was_sending_is_in_doubt(sure_poster: Poster) -> None:
    claimed = sure_poster.claim("one", owner=f"{FAR}/1")
    sending = sure_poster.claim("two", owner=f"{FAR}/2")
    sure_poster.cross(sending)
    other = sure_poster.claim("three", owner="web3.fedcba-1-aa/1")

    assert sorted(host_gone(sure_poster)) == ["queued", "unknown"]

    assert [state_of(sure_poster, each) for each in (claimed, sending, other)] == ["queued", "unknown", "claimed"]
    assert sure_poster.cross(claimed)[0] == "lost", "if it wakes up all the same, the fence refuses it"
    assert not sure_poster.renew(sending)


def test_a_claim_that_the_host_makes_when_it_is_back_is_its_own(sure_poster: Poster) -> None:
    sure_poster.doubt("old", owner=f"{FAR}/1", how="its lease ended")
    host_gone(sure_poster)

    new = sure_poster.claim("new", owner=f"{FAR}/2")
    sure_poster.cross(new)
    sure_poster.end_lease(new)
    sure_poster.reclaim(new, dead=False)

    assert sure_poster.ledger.report_deaths([AGENT]) == []
    assert sure_poster.key_of(new).get("gone") != str(new.fence)


def test_a_doubt_that_comes_to_light_later_is_of_the_host_that_was_gone_then(sure_poster: Poster) -> None:
    """As after a restart of Redis: the claim is compared with the journal first, and is in doubt only then."""
    claim = sure_poster.claim("late", owner=f"{FAR}/3")
    sure_poster.cross(claim)
    sure_poster.redis.hset(sure_poster.n.ledger, "run", "of-another-server")
    assert host_gone(sure_poster) == ["sending"], "nothing is decided about it yet"
    sure_poster.ledger.resync(AGENT)
    if state_of(sure_poster, claim) == "sending":
        sure_poster.end_lease(claim)
        sure_poster.reclaim(claim, dead=False)
    assert state_of(sure_poster, claim) == "unknown"

    [reported] = sure_poster.ledger.report_deaths([AGENT])

    assert reported.key == claim.key
    assert "its host is gone: ada says so: it burned down" in sure_poster.story(claim.key)[-1]["why"]


def test_a_second_decision_keeps_what_the_first_ended(sure_poster: Poster) -> None:
    sure_poster.doubt("one", owner=f"{FAR}/5", how="its lease ended")
    host_gone(sure_poster)
    host_gone(sure_poster)

    decided = hosts.gone()["abcdef"]

    assert decided.covers(f"{FAR}/5")
    assert decided.covers(f"{FAR}/1"), "it began before the fifth"
    assert not decided.covers(f"{FAR}/6")
    assert not decided.covers("web2.abcdef-78-aa/1"), "a process of which nothing was known"


def test_nothing_of_a_process_that_lives_here_is_taken_whatever_a_person_says(sure_poster: Poster, living: str) -> None:
    claim = sure_poster.claim("mine", owner=living)
    claims = sure_poster.ledger.host_claims([AGENT])

    assert sure_poster.ledger.host_gone("abcdef", "web2.abcdef", claims, GONE) == []

    assert state_of(sure_poster, claim) == "claimed"


def test_the_time_in_which_a_look_up_counts_needs_no_clock(sure_poster: Poster) -> None:
    """A look-up on another machine begins its own drain."""
    claim = sure_poster.doubt(owner=f"{FAR}/1", how="its lease ended")
    say_dead(sure_poster, claim)

    for seconds in (0, 1000):
        sure_poster.look(claim, at(seconds, "here"))
    elsewhere = [sure_poster.look(claim, at(seconds, "there"))[0] for seconds in (5 * MINUTE / SECOND, 301)]

    assert elsewhere == ["unknown", "unknown"]
