"""An agent that asks: a key is held with what would be sent, and only what a person approved is sent, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from state import redis_format
from state.agents.audit import Said
from state.agents.autonomy import Mode
from state.journal.journal import Journal
from state.ledger import Ledger, Progress
from state.ledger.resolve import NotResolved, Resolution, Stale
from state.model import Claim
from state.recovery import recover
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, DAY, MINUTE, SECOND, Poster


@pytest.fixture
def asking(poster: Poster) -> Poster:
    poster.open()
    poster.set_mode("ask")
    return poster


def approve(poster: Poster, claim: Claim) -> str:
    return poster.ledger.resolve(AGENT, claim.key, Resolution("approve", "ada", "read it"))


def asked(poster: Poster, payload: str = '"hello"') -> Claim:
    claim = poster.claim(poster.register())
    assert poster.ask(claim, payload) is None
    return claim


def test_an_asked_key_is_held_with_its_payload_and_the_call_has_the_answer(asking: Poster) -> None:
    claim = asked(asking)

    kept = asking.key_of(claim)
    assert (kept["state"], kept["kind"], kept["proposal"], kept["revision"]) == ("held", "approval", '"hello"', "1")
    assert "payload" not in kept, "that would say that it may have been sent"
    assert json.loads(asking.call_of(claim)["answer"])["error"] == "waits for approval"
    [entry] = asking.document()["held"]
    assert (entry["key"], entry["kind"], entry["revision"]) == (claim.key, "approval", 1)
    assert asking.marks() == {}


def test_the_question_is_in_the_journal_before_redis_knows(asking: Poster) -> None:
    claim = asking.claim(asking.register())
    asking.redis.hset(asking.n.key(claim.key), "owner", "somebody else")

    assert asking.ask(claim) == "claimed", "the claim is lost, so Redis takes nothing"

    [record] = asking.records("asked")
    assert (record["proposal"], record["revision"], record["fence"]) == ("hello", 1, claim.fence)


def test_settling_the_same_question_twice_changes_nothing(asking: Poster) -> None:
    claim = asked(asking)
    before = asking.dump()

    assert asking.ask(claim) is None
    assert asking.dump() == before


def test_an_approved_text_is_what_the_next_attempt_gets(asking: Poster) -> None:
    claim = asked(asking, '"read and found good"')

    assert approve(asking, claim) == "waiting"

    again = asking.claim(asking.call("hello", id=claim.call))
    assert again.approved == '"read and found good"'
    assert asking.cross(again, again.approved) == ["sending", '"read and found good"']


@pytest.mark.parametrize("mode", ["ask", "observe"])
def test_what_nobody_approved_does_not_begin(poster: Poster, mode: Mode) -> None:
    claim = poster.open().claim(poster.register())
    poster.set_mode(mode)  # between the claim and the effect
    before = poster.key_of(claim)

    assert poster.cross(claim) == ["mode", mode]
    assert poster.key_of(claim) == before
    assert poster.marks() == {}


def test_an_approval_is_for_this_text_only(asking: Poster) -> None:
    claim = asked(asking, '"the first"')
    approve(asking, claim)
    again = asking.claim(asking.call("hello", id=claim.call))

    assert asking.cross(again, '"another text"') == ["mode", "ask"]
    assert asking.cross(again, '"the first"')[0] == "sending"


def test_an_approval_is_for_one_call(asking: Poster) -> None:
    """What was refused for good is asked again when another call of the key comes."""
    claim = asked(asking)
    approve(asking, claim)
    again = asking.claim(asking.call("hello", id=claim.call))
    asking.cross(again, again.approved)
    asking.settle(again, "failed")
    assert asking.key_of(claim)["state"] == "rejected"

    other = asking.claim("hello")

    assert (other.approved, other.mode) == ("", "ask")
    assert asking.cross(other, '"hello"') == ["mode", "ask"]


def test_an_approved_text_that_could_not_be_sent_for_now_is_sent_later_without_another_question(asking: Poster) -> None:
    claim = asked(asking)
    approve(asking, claim)
    again = asking.claim(asking.call("hello", id=claim.call))
    asking.cross(again, again.approved)
    asking.settle(again, "failed", retry_ms=1)

    third = asking.claim(asking.call("hello", id=claim.call))

    assert asking.cross(third, third.approved)[0] == "sending"


def test_a_held_question_stays_when_the_agent_may_act(asking: Poster) -> None:
    claim = asked(asking)
    asking.set_mode("act")

    assert asking.refused("hello")["error"] == "held"
    assert asking.key_of(claim)["state"] == "held"


def test_what_was_approved_waits_while_the_agent_only_observes(asking: Poster) -> None:
    claim = asked(asking)
    approve(asking, claim)
    asking.set_mode("observe")

    assert asking.deferred(asking.call("hello", id=claim.call))["stage"] == "autonomy"
    asking.set_mode("ask")
    assert asking.claim(asking.call("hello", id=claim.call)).approved == '"hello"'


def test_the_place_under_a_rate_is_taken_when_it_is_sent_and_not_when_it_is_asked(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="1/hour").open()
    poster.set_mode("ask")
    for post in ("one", "two"):
        assert poster.ask(poster.claim(poster.register(poster.call(post, id=post)))) is None
    for post in ("one", "two"):
        poster.ledger.resolve(AGENT, f"post:feed:{post}", Resolution("approve", "ada", "good"))

    assert poster.claim(poster.call("one", id="one"))
    assert poster.deferred(poster.call("two", id="two"))["stage"] == "rate"


def test_a_question_holds_no_place_under_a_cap_and_no_probe(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/day").open()
    poster.set_mode("ask")
    for post in ("one", "two"):
        assert poster.ask(poster.claim(poster.call(post))) is None


def test_a_request_that_nobody_answers_ends_as_neither_yes_nor_no(asking: Poster) -> None:
    claim = asking.claim(asking.register())
    asking.ask(claim, within_ms=-SECOND)

    assert asking.ledger.expire(AGENT) == [claim.key]

    kept, call = asking.key_of(claim), asking.call_of(claim)
    assert (kept["state"], call["state"]) == ("rejected", "rejected")
    assert json.loads(call["answer"])["error"] == "approval expired"
    assert asking.document()["held"] == []
    assert [record["key"] for record in asking.records("expired")] == [claim.key]
    assert asking.claim("hello").approved == "", "the next call asks again"


def test_a_request_does_not_end_before_its_time(asking: Poster) -> None:
    claim = asked(asking)

    assert asking.ledger.expire(AGENT) == []
    assert asking.key_of(claim)["state"] == "held"


def test_an_approval_that_comes_after_the_end_is_refused_although_no_sweeper_was_there(asking: Poster) -> None:
    claim = asking.claim(asking.register())
    asking.ask(claim, within_ms=-SECOND)

    with pytest.raises(NotResolved):
        approve(asking, claim)
    assert asking.key_of(claim)["state"] == "held"


def test_a_doubt_never_expires(asking: Poster) -> None:
    claim = asked(asking)
    approve(asking, claim)
    again = asking.claim(asking.call("hello", id=claim.call))
    asking.cross(again, again.approved)
    asking.settle(again, "unknown")
    asking.redis.zadd(asking.n.expiring, {claim.key: 1})

    assert asking.ledger.expire(AGENT) == []
    assert asking.key_of(claim)["state"] == "unknown"


def test_a_persons_no_keeps_the_key(asking: Poster) -> None:
    claim = asked(asking)

    assert asking.ledger.resolve(AGENT, claim.key, Resolution("cancel", "ada", "too loud")) == "cancelled"

    assert asking.refused("hello")["error"] == "cancelled"
    assert asking.redis.zcard(asking.n.expiring) == 0


def test_what_a_person_says_is_not_there_is_sent_without_another_question(poster: Poster) -> None:
    claim = poster.open().doubt(poster.register())
    poster.set_mode("ask")
    poster.say_not_applied(claim)

    again = poster.claim(poster.call("hello", id=claim.call))

    assert poster.cross(again, again.payload)[0] == "sending"


def test_what_look_ups_found_absent_is_asked_about_first(poster_with: WithPolicies) -> None:
    poster = poster_with().open()
    claim = poster.claim(poster.register())
    poster.cross(claim, '"the first"')
    poster.settle(claim, "unknown")
    poster.set_mode("ask")
    poster.redis.hset(poster.n.key(claim.key), "state", "waiting")  # as reconcile.lua leaves it
    again = poster.claim(poster.call("hello", id=claim.call))

    assert poster.cross(again, again.payload) == ["mode", "ask"]
    assert poster.ask(again, again.payload) is None
    assert approve(poster, again) == "waiting"
    third = poster.claim(poster.call("hello", id=claim.call))
    assert poster.cross(third, third.payload) == ["sending", '"the first"']


def test_an_old_call_may_be_approved_for_as_long_as_its_request_lasts(asking: Poster) -> None:
    claim = asked(asking)
    asking.age_call(asking.call("hello", id=claim.call), 7 * DAY + MINUTE)
    approve(asking, claim)

    assert asking.claim(asking.call("hello", id=claim.call))


def revise(poster: Poster, key: str, payload: str = '"corrected"', seen: str = "") -> str:
    return poster.ledger.resolve(AGENT, key, Resolution("revise", "bob", "shorter", payload=payload, seen=seen))


def test_an_edited_text_is_the_next_revision_and_both_stay_in_the_story(asking: Poster) -> None:
    claim = asked(asking, '"the first"')

    assert revise(asking, claim.key) == "waiting"

    kept = asking.key_of(claim)
    assert (kept["proposal"], kept["revision"], kept["approved"]) == ('"corrected"', "2", "2")
    again = asking.claim(asking.call("hello", id=claim.call))
    assert asking.cross(again, again.approved) == ["sending", '"corrected"']
    [told] = [event for event in asking.story(claim.key) if event["event"] == "revised"]
    assert (told["by"], told["payload"], told["revision"]) == ("bob", "corrected", 2)
    [record] = asking.records("resolved")
    assert (record["how"], record["proposal"], record["revision"]) == ("revise", "corrected", 2)


def test_who_approves_the_first_text_after_an_edit_changes_nothing(asking: Poster) -> None:
    claim = asked(asking)
    seen = asking.ledger.version(AGENT, claim.key)
    revise(asking, claim.key)
    before = asking.dump()

    with pytest.raises(Stale, match="bob said revise"):
        asking.ledger.resolve(AGENT, claim.key, Resolution("approve", "ada", "read it", seen=seen))

    assert asking.dump() == before


def test_of_two_approvals_of_the_same_version_one_counts(asking: Poster) -> None:
    claim = asked(asking)
    seen = asking.ledger.version(AGENT, claim.key)
    asking.ledger.resolve(AGENT, claim.key, Resolution("approve", "ada", "read it", seen=seen))

    with pytest.raises(Stale, match="ada said approve"):
        asking.ledger.resolve(AGENT, claim.key, Resolution("approve", "bob", "me too", seen=seen))

    assert len(asking.records("resolved")) == 1


def test_a_question_that_was_asked_again_is_another_version(asking: Poster) -> None:
    claim = asking.claim(asking.register())
    asking.ask(claim, within_ms=-SECOND)
    seen = asking.ledger.version(AGENT, claim.key)
    asking.ledger.expire(AGENT)
    again = asking.claim("hello")
    asking.ask(again)

    with pytest.raises(Stale):
        asking.ledger.resolve(AGENT, claim.key, Resolution("approve", "ada", "read it", seen=seen))
    assert asking.key_of(again)["revision"] == "2"


def refused_text(poster: Poster) -> Claim:
    claim = poster.claim(poster.register())
    poster.cross(claim, '"too long"')
    assert poster.settle(claim, "failed") is None
    return claim


def test_a_text_that_a_provider_refused_can_be_corrected(poster: Poster) -> None:
    claim = refused_text(poster.open())
    assert poster.key_of(claim)["proposal"] == '"too long"'

    assert revise(poster, claim.key) == "waiting"

    again = poster.claim(poster.call("hello", id=claim.call))
    assert again.approved == '"corrected"'
    assert poster.cross(again, again.approved) == ["sending", '"corrected"']
    assert poster.redis.zcard(poster.n.dead) == 0


def test_what_was_kept_before_a_text_that_was_corrected_is_made_again(asking: Poster) -> None:
    claim = asking.claim(asking.register())
    asking.ledger.save_checkpoint(claim, "container", "17")
    asking.ask(claim)

    revise(asking, claim.key)

    again = asking.claim(asking.call("hello", id=claim.call))
    assert asking.ledger.checkpoint(again, "container") is None


@pytest.mark.parametrize("state", ["sending", "unknown", "held", "done", "cancelled"])
def test_a_text_that_may_have_been_sent_cannot_be_replaced(poster: Poster, state: str) -> None:
    claim = poster.open().claim(poster.register())
    poster.cross(claim, '"the first"')
    if state != "sending":
        poster.settle(claim, "unknown")
        poster.redis.hset(poster.n.key(claim.key), mapping={"state": state, "proposal": '"the first"', "revision": 1})
    before = poster.dump()

    with pytest.raises(
        NotResolved, match="first what became of it" if state in {"sending", "unknown", "held"} else state
    ):
        revise(poster, claim.key)

    assert poster.dump() == before


def test_a_poisoned_call_has_no_text_to_replace(poster: Poster) -> None:
    call = poster.open().register()
    for _ in range(3):
        claim = poster.claim(call)
        poster.reclaim(claim, dead=True)

    with pytest.raises(NotResolved, match="held before it had a text"):
        revise(poster, claim.key)


@pytest.mark.parametrize(
    "end", ["asked", "approved", "revised", "expired", "refused", "refused, then revised", "cancelled"]
)
def test_what_the_journal_knows_of_a_question_comes_back_after_a_loss(asking: Poster, end: str) -> None:
    claim = {
        "expired": lambda: asking.claim(asking.register()),
        "refused": lambda: approved_and_refused(asking),
        "refused, then revised": lambda: approved_and_refused(asking),
    }.get(end, lambda: asked(asking))()
    if end == "approved":
        approve(asking, claim)
    elif end.endswith("revised"):
        revise(asking, claim.key)
    elif end == "expired":
        asking.ask(claim, within_ms=-SECOND)
        asking.ledger.expire(AGENT)
    elif end == "cancelled":
        asking.ledger.resolve(AGENT, claim.key, Resolution("cancel", "ada", "no"))
    names = ("state", "proposal", "revision", "approved", "kind", "expires_ms", "payload")
    before = {name: asking.key_of(claim).get(name) for name in names}
    asking.redis.flushall()

    asking.ledger.recover(lambda _task, _kwargs: [], Progress())

    after = {name: asking.key_of(claim).get(name) for name in names}
    if end in {"expired", "cancelled"}:
        assert (after["state"], after["approved"], after["kind"]) == (before["state"], None, None)
    else:
        assert after == before
    assert asking.redis.hget(asking.n.agent_meta, "autonomy") == "ask"
    assert asking.redis.get(redis_format.key()) == "2"  # an older version must not send what waits
    assert asking.redis.zcard(asking.n.expiring) == (1 if end == "asked" else 0)
    assert asking.ledger.count_waiting([AGENT]) == {AGENT: 1 if end == "asked" else 0}


def approved_and_refused(poster: Poster) -> Claim:
    claim = asked(poster)
    approve(poster, claim)
    again = poster.claim(poster.call("hello", id=claim.call))
    poster.cross(again, again.approved)
    assert poster.settle(again, "failed", journaled=True) is None
    return again


@pytest.mark.parametrize("end", ["asked", "approved"])
def test_a_new_journal_takes_over_what_waits_for_an_approval(asking: Poster, tmp_path: Path, end: str) -> None:
    claim = asked(asking)
    if end == "approved":
        approve(asking, claim)
    names = ("state", "proposal", "revision", "approved", "kind", "expires_ms")
    before = {name: asking.key_of(claim).get(name) for name in names}
    book = Journal(tmp_path / "another journal")
    Ledger(asking.redis, book).known(AGENT)
    asking.redis.flushall()

    Ledger(asking.redis, book).recover(lambda _task, _kwargs: [], Progress())

    assert {name: asking.key_of(claim).get(name) for name in names} == before
    assert asking.redis.hget(asking.n.agent_meta, "autonomy") == "ask"


def test_a_redis_that_forgot_a_question_is_noticed_although_nothing_was_ever_sent(asking: Poster) -> None:
    claim = asked(asking)
    asking.redis.flushall()

    assert not recover.resync(asking.redis, asking.ledger.journal, AGENT)
    assert asking.ledger.statuses([AGENT])[AGENT].closed
    asking.ledger.recover(lambda _task, _kwargs: [], Progress())
    assert asking.key_of(claim)["state"] == "held"


@pytest.mark.parametrize("mode", ["observe", "ask", "act"])
def test_a_choice_keeps_versions_away_that_do_not_know_it(poster: Poster, mode: Mode) -> None:
    poster.set_mode(mode)

    assert poster.redis.get(redis_format.key()) == "2"


def test_what_waits_for_an_approval_keeps_versions_away_that_would_send_it(asking: Poster) -> None:
    asked(asking)
    for file in asking.ledger.journal.own_files():  # the agent asked because a setting said so
        file.write_bytes(b"".join(line for line in file.read_bytes().splitlines(True) if b'"autonomy"' not in line))
    asking.redis.flushall()

    Ledger(asking.redis, Journal(file.parent)).recover(lambda _task, _kwargs: [], Progress())

    assert asking.redis.get(redis_format.key()) == "2"


def test_how_far_an_agent_may_go_comes_back_also_if_it_never_sent_anything(poster: Poster) -> None:
    poster.open()
    poster.set_mode("observe")
    files = poster.ledger.journal.own_files()
    files[-1].rename(files[-1].with_name("2020-01.jsonl"))
    for month in ("2020-02", "2020-03"):
        files[-1].with_name(f"{month}.jsonl").touch()
    poster.redis.flushall()

    assert recover.resync(poster.redis, Journal(files[-1].parent), AGENT)

    assert poster.redis.hget(poster.n.agent_meta, "autonomy") == "observe"
    assert poster.redis.get(redis_format.key()) == "2"


def test_a_replay_of_a_call_whose_approved_text_was_refused_asks_again(asking: Poster) -> None:
    claim = approved_and_refused(asking)

    assert asking.ledger.replay(AGENT, claim.call, Said("replay", "ada"), {asking.gate.name})

    again = asking.claim(asking.call("hello", id=claim.call))
    assert (again.approved, again.mode) == ("", "ask")
    assert asking.cross(again, '"hello"') == ["mode", "ask"]
