"""Redis is believed only if it knows what the journal knows: admit, cross and reclaim with epoch, fence, run and marks."""

from __future__ import annotations

from contextlib import suppress

import pytest

from gatekeeper.errors import Refused
from gatekeeper.run.attempt import Attempt
from gatekeeper.run.pipeline import run_attempt
from state import hints
from state.decision import NeedsResync, Refusal, Replay
from state.journal import events
from state.journal.heads import JournalHead
from state.ledger import owner
from state.ledger.owner import Moment
from state.model import AttemptResult, Claim
from state.recovery import epoch
from state.recovery.epoch import LedgerStatus
from state.recovery.rebuild import Progress
from state.recovery.recover import recover, resync
from state.redis.keys import Keys
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, DAY, MINUTE, SECOND, Poster, a_gate, sure

LEDGER = Keys(AGENT).ledger
RECOVER = hints.gatehouse("recover")


@pytest.fixture
def poster(poster_with: WithPolicies) -> Poster:
    return poster_with().open()


def change(poster: Poster, **fields: str) -> None:
    poster.redis.hset(LEDGER, mapping=dict(fields))


def closed(poster: Poster, post_id: str = "hello") -> str:
    """Why the call must come again."""
    receipt = poster.deferred(post_id)
    assert (receipt["stage"], receipt["error"], receipt["next"]) == ("ledger", "effects are closed", RECOVER)
    return str(receipt["why"])


def repeat_safe(poster: Poster) -> Poster:
    """Another task of the same agent, which changes nothing outside."""
    return Poster(poster.redis, a_gate(effect=False, key="check:{post_id}"))


# The first effect


def test_the_first_effect_of_an_agent_agrees_with_the_journal_on_an_epoch(poster: Poster) -> None:
    assert poster.known == JournalHead(poster.redis.hget(LEDGER, "epoch"), 0)
    assert poster.ledger.journal.known(AGENT) == poster.known
    assert poster.redis.hget(LEDGER, "run") == poster.redis.info("server")["run_id"]

    claim = poster.claim()

    assert (claim.fence, claim.epoch) == (1, poster.known.epoch)
    assert poster.key_of(claim)["epoch"] == claim.epoch


def test_effects_and_repeat_safe_tasks_count_their_fences_apart(poster: Poster) -> None:
    """A repeat-safe claim is in no journal, so its fence must not look like one that was lost."""
    repeat_safe(poster).claim()
    assert poster.redis.hget(LEDGER, "fence") in {None, "0"}

    assert poster.claim().fence == 1
    assert repeat_safe(poster).claim("other").epoch == ""


def test_the_intent_is_in_the_journal_before_redis_says_sending(poster: Poster) -> None:
    claim = poster.claim()
    poster.cross(claim)

    [intent] = poster.records("intent")

    assert (intent["key"], intent["fence"], intent["epoch"], intent["owner"], intent["payload"]) == (
        claim.key,
        claim.fence,
        claim.epoch,
        claim.owner,
        "hello",
    )
    assert poster.marks() == {claim.key: str(claim.fence)}


# admit: why effects are closed


def test_a_redis_that_lost_all_claims_nothing(poster: Poster) -> None:
    poster.publish("sent")
    poster.open()
    poster.redis.flushall()

    assert closed(poster, "sent") == "Redis lost its data"
    assert closed(poster, "other") == "Redis lost its data"


def test_a_ledger_of_another_epoch_claims_nothing(poster: Poster) -> None:
    change(poster, epoch="another")
    before = poster.dump()

    assert isinstance(poster.admit("hello"), NeedsResync)
    assert poster.dump() == before
    assert not resync(poster.redis, poster.ledger.journal, AGENT)


def test_who_read_the_journal_right_before_another_epoch_began_only_looks_again(poster: Poster) -> None:
    change(poster, run="of yesterday")
    assert resync(poster.redis, poster.ledger.journal, AGENT)

    assert isinstance(poster.admit("hello"), NeedsResync)

    assert poster.open().claim("hello")


def test_a_ledger_that_fell_back_claims_nothing(poster: Poster) -> None:
    poster.publish("one")
    poster.publish("two")
    poster.open()
    change(poster, fence="1")

    assert closed(poster) == "Redis fell back to fence 1, the journal knows 2"


def test_a_ledger_ahead_of_the_journal_goes_on(poster: Poster) -> None:
    """A claim takes a fence before its intent is written."""
    poster.publish("one")
    poster.open()
    change(poster, fence="7")

    assert poster.claim().fence == 8


def test_a_ledger_that_was_closed_says_why(poster: Poster) -> None:
    change(poster, closed="gate recover is at work, or was ended")

    assert closed(poster) == "gate recover is at work, or was ended"


def test_what_closes_effects_where_the_call_runs_is_told(poster: Poster) -> None:
    decision = poster.admit("hello", closed="the journal cannot be written")

    assert isinstance(decision, Refusal)
    assert (decision.receipt["stage"], decision.receipt["why"]) == ("ledger", "the journal cannot be written")


@pytest.mark.parametrize("stands", ["done", "unknown"])
def test_a_mark_without_its_key_closes_the_effects_of_the_whole_agent(poster: Poster, stands: str) -> None:
    """Evicted, or deleted by hand: who knows what else is missing."""
    claim = poster.publish("hello") if stands == "done" else poster.doubt("hello")
    poster.redis.delete(poster.n.key(claim.key))

    assert closed(poster, "hello") == "Redis forgot the key post:feed:hello"
    assert closed(poster, "another") == "Redis forgot the key post:feed:hello"
    assert epoch.why_closed(poster.redis, poster.ledger.journal, AGENT) == "Redis forgot the key post:feed:hello"


def test_a_key_that_was_freed_leaves_no_mark_behind(poster: Poster) -> None:
    claim = poster.claim("hello")
    poster.cross(claim)
    poster.settle(claim, "failed")
    assert poster.marks() == {}
    poster.redis.delete(poster.n.key(claim.key))  # its time to be kept is over

    assert poster.claim("hello")


def test_a_server_that_was_started_anew_is_compared_before_it_is_believed(poster: Poster) -> None:
    change(poster, run="of yesterday")
    before = poster.dump()

    assert isinstance(poster.admit("hello"), NeedsResync)
    assert poster.dump() == before

    assert resync(poster.redis, poster.ledger.journal, AGENT)
    poster.open()
    assert poster.claim("hello")


@pytest.mark.parametrize("shown", ["", "run_id", "part"])
def test_only_the_whole_run_id_is_that_of_this_server(poster: Poster, shown: str) -> None:
    claim = poster.claim("hello")
    run = poster.redis.hget(LEDGER, "run")
    change(poster, run={"part": run[:-1], "run_id": f"run_id:{run}"}.get(shown, shown))

    assert poster.cross(claim) == ["closed"]
    assert isinstance(poster.admit("another"), NeedsResync)


def ends(*_: object) -> None:
    raise ConnectionError("Redis went away once more")


@pytest.mark.parametrize("times", [1, 2])
def test_a_comparison_that_was_ended_in_the_middle_is_made_again(
    poster: Poster, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    poster.publish("one")
    poster.open()
    change(poster, run="of yesterday")
    with monkeypatch.context() as context:
        context.setattr(epoch, "reopen", ends)
        for _ in range(times):
            with pytest.raises(ConnectionError):
                resync(poster.redis, poster.ledger.journal, AGENT)
    assert epoch.ledger_statuses(poster.redis, poster.ledger.journal, [AGENT])[AGENT] == LedgerStatus(
        None, unchecked=True
    )

    assert resync(poster.redis, poster.ledger.journal, AGENT)

    assert poster.open().claim("hello")


def test_a_comparison_that_was_ended_in_the_middle_makes_nothing_of_another_ledger(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(poster, run="of yesterday")
    monkeypatch.setattr(epoch, "reopen", ends)
    with pytest.raises(ConnectionError):
        resync(poster.redis, poster.ledger.journal, AGENT)
    change(poster, epoch="another")

    assert not resync(poster.redis, poster.ledger.journal, AGENT)


def test_a_ledger_that_fell_back_behind_a_comparison_is_not_believed(poster: Poster) -> None:
    """What a person said before it, and what was cancelled, may be gone."""
    before = poster.known.epoch
    change(poster, run="of yesterday")
    assert resync(poster.redis, poster.ledger.journal, AGENT)
    change(poster, run="of today", epoch=before)

    assert not resync(poster.redis, poster.ledger.journal, AGENT)


def test_a_redis_without_an_epoch_is_not_adopted_by_a_claim(poster: Poster) -> None:
    """Only who looked at journal and Redis together, alone, may begin an epoch."""
    poster.redis.flushall()

    assert isinstance(poster.admit("hello"), NeedsResync)
    assert poster.redis.hget(LEDGER, "epoch") is None


def test_an_empty_journal_and_an_empty_redis_begin_anew_without_a_person(poster: Poster) -> None:
    poster.redis.flushall()

    assert resync(poster.redis, poster.ledger.journal, AGENT)

    assert poster.open().claim("hello")


@pytest.mark.parametrize("problem", ["closed", "fence"])
def test_a_comparison_opens_nothing_that_lost_something(poster: Poster, problem: str) -> None:
    poster.publish("one")
    poster.publish("two")
    poster.open()
    change(poster, run="of yesterday", **{problem: {"closed": "why", "fence": "1"}[problem]})

    assert not resync(poster.redis, poster.ledger.journal, AGENT)

    assert closed(poster)


# admit: what goes on while effects are closed


def test_repeat_safe_tasks_go_on_while_effects_are_closed(poster: Poster) -> None:
    change(poster, closed="why")
    safe = repeat_safe(poster)

    claim = safe.claim()

    assert safe.settle(claim) is None


def test_a_repeat_safe_claim_of_a_dead_worker_is_taken_back_while_effects_are_closed(poster: Poster) -> None:
    safe = repeat_safe(poster)
    call = safe.register()
    claim = safe.claim(call)
    change(poster, run="of yesterday", closed="Redis lost its data")

    assert safe.reclaim(claim, dead=True) == "queued"

    assert safe.claim(call)


def test_a_repeat_safe_claim_is_taken_back_although_redis_lost_all_else(poster: Poster) -> None:
    safe = repeat_safe(poster)
    claim = safe.claim(safe.register())
    poster.redis.delete(LEDGER)

    assert safe.reclaim(claim, dead=True) == "queued"


# admit: how a closed ledger defers


def test_a_call_that_waits_for_the_ledger_asks_soon_then_less_often_and_is_told_of_once(poster: Poster) -> None:
    """A database is back in a moment, and then a call must not wait as long as one that needs a person."""
    call = poster.register()
    change(poster, closed="why")

    assert [poster.deferred(call)["retry_after"] for _ in range(5)] == [2, 4, 8, 15, 15]

    due = poster.redis.zscore(poster.n.waiting, call.id) or 0
    assert due - poster.now() == pytest.approx(15 * SECOND, abs=5 * SECOND)
    assert poster.metrics()["total_deferred"] == 1
    assert [told["event"] for told in poster.story(call.key)] == ["registered", "deferred"]
    assert poster.call_of(call)["state"] == "waiting"
    assert "attempts" not in poster.call_of(call)


def test_no_rate_no_cap_and_no_attempt_is_used_up_by_waiting(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="1/hour", cap="1/day").open()
    call = poster.register()
    change(poster, closed="why")
    poster.deferred(call)
    poster.redis.hdel(LEDGER, "closed")

    assert poster.claim(call).attempt == 1


def test_a_call_does_not_grow_too_old_while_effects_are_closed_but_is_so_afterwards(poster_with: WithPolicies) -> None:
    poster = poster_with(max_age="1h").open()
    call = poster.register()
    change(poster, closed="why")
    poster.age_call(call, DAY)

    assert poster.deferred(call)["stage"] == "ledger"
    poster.redis.hdel(LEDGER, "closed")

    assert poster.refused(call)["error"] == "too old"


def test_a_paused_agent_s_call_that_was_deferred_by_the_ledger_is_told_of_again(poster: Poster) -> None:
    """Another stage is another story."""
    call = poster.register()
    change(poster, closed="why")
    poster.deferred(call)
    poster.redis.hdel(LEDGER, "closed")
    poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')

    assert poster.refused(call)["stage"] == "paused"


def test_a_call_that_has_ended_answers_the_same_while_effects_are_closed(poster: Poster) -> None:
    call = poster.register()
    poster.settle(poster.claim(call), "failed", error="404")
    change(poster, closed="why")

    decision = poster.admit(call)

    assert isinstance(decision, Refusal)
    assert (decision.again, decision.receipt["error"]) == (True, "404")


def test_what_is_done_is_answered_once_effects_are_open(poster: Poster) -> None:
    poster.publish("hello")
    poster.open()
    call = poster.register(poster.call("hello"))
    change(poster, closed="why")
    poster.deferred(call)
    poster.redis.hdel(LEDGER, "closed")

    assert isinstance(poster.admit(call), Replay)
    assert poster.redis.zscore(poster.n.waiting, call.id) is None


@pytest.mark.parametrize("stands", ["claimed", "sending", "unknown"])
def test_a_second_message_of_a_call_at_work_does_not_take_it_back_while_effects_are_closed(
    poster_with: WithPolicies, stands: str
) -> None:
    poster = poster_with(effect=sure()).open()
    call = poster.register()
    claim = poster.doubt(call) if stands == "unknown" else poster.claim(call)
    if stands == "sending":
        poster.cross(claim)
    change(poster, closed="why")

    poster.deferred(call)

    assert (poster.key_of(claim)["state"], poster.call_of(call)["state"]) == (stands, stands)
    assert not poster.cancel(call.id, "ada"), "only what has not begun can be revoked"


def test_a_look_up_that_came_while_effects_were_closed_is_asked_afterwards(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure()).open()
    claim = poster.doubt(poster.register())
    change(poster, closed="why")
    assert isinstance(poster.admit(poster.call("hello", id=claim.call)), Refusal)
    assert poster.redis.zscore(poster.n.waiting, claim.call) is not None
    poster.redis.hdel(LEDGER, "closed")

    assert poster.asked(claim).fence == claim.fence


# cross


@pytest.mark.parametrize(
    "change_to", [{"epoch": "another"}, {"run": "of yesterday"}, {"closed": "why"}], ids=["epoch", "run", "closed"]
)
def test_a_claim_does_not_cross_into_a_ledger_that_changed_meanwhile(poster: Poster, change_to: dict[str, str]) -> None:
    claim = poster.claim()
    change(poster, **change_to)
    before = poster.dump()

    assert poster.cross(claim) == ["closed"]

    assert poster.dump() == before


def test_a_claim_does_not_cross_once_redis_lost_the_epoch(poster: Poster) -> None:
    claim = poster.claim()
    poster.redis.hdel(LEDGER, "epoch")

    assert poster.cross(claim) == ["closed"]


def test_a_claim_does_not_cross_once_the_journal_began_another_epoch(poster: Poster) -> None:
    """`gate recover` reads the journal after its own line; an intent that came later was not read."""
    claim = poster.claim()
    poster.ledger.journal.append("epoch", {"agent": AGENT, "epoch": "another", "fence": 0}, sync=True)

    assert poster.cross(claim) == ["closed"]
    assert poster.key_of(claim)["state"] == "claimed"


@pytest.mark.parametrize("answer", ["lost", "paused", "closed"])
def test_who_did_not_cross_says_so_in_the_journal(poster: Poster, answer: str) -> None:
    claim = poster.claim(poster.register())
    match answer:
        case "lost":
            poster.reclaim(claim, dead=True)
        case "paused":
            poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')
        case "closed":
            change(poster, closed="why")

    assert poster.cross(claim)[0] == answer

    [record] = poster.records("outcome")
    assert (record["outcome"], record["retry"], record["fence"], record["error"]) == (
        "refused",
        True,
        claim.fence,
        answer,
    )


def test_crossing_twice_is_closed_too_once_the_ledger_changed(poster: Poster) -> None:
    """The answer to the first was lost, and so was the ledger: nothing was sent yet."""
    claim = poster.claim()
    poster.cross(claim)
    change(poster, run="of yesterday")

    assert poster.cross(claim) == ["closed"]


# reclaim


@pytest.mark.parametrize("line", ["before", "behind"])
def test_an_effect_s_claim_is_not_taken_back_on_a_server_that_was_not_compared(poster: Poster, line: str) -> None:
    claim = poster.claim(poster.register())
    if line == "behind":
        poster.cross(claim)
    change(poster, run="of yesterday")
    before = poster.dump()

    assert poster.reclaim(claim, dead=True) == "kept"
    assert poster.dump() == before

    assert resync(poster.redis, poster.ledger.journal, AGENT)
    poster.open()
    assert poster.reclaim(claim, dead=True) == {"before": "queued", "behind": "unknown"}[line]


def test_a_claim_that_fell_back_from_inside_the_effect_is_in_doubt_and_not_sent_again(
    poster_with: WithPolicies,
) -> None:
    """Redis lost its newest second: the journal saw the intent, Redis says claimed."""
    poster = poster_with(effect=sure()).open()
    call = poster.register()
    claim = poster.claim(call)
    poster.cross(claim)
    fall_back(poster, claim)

    assert resync(poster.redis, poster.ledger.journal, AGENT)
    poster.open()

    assert poster.key_of(claim)["state"] == "unknown"
    assert poster.key_of(claim)["payload"] == '"hello"'
    assert poster.marks() == {claim.key: str(claim.fence)}
    assert poster.asked(claim).fence == claim.fence


def test_a_claim_that_fell_back_from_done_is_done(poster: Poster) -> None:
    call = poster.register()
    claim = poster.claim(call)
    poster.cross(claim)
    poster.settle(claim, journaled=True)
    fall_back(poster, claim)

    assert resync(poster.redis, poster.ledger.journal, AGENT)
    poster.open()

    assert poster.replayed(call).result == '{"result":"it went well","rung":null}'
    assert poster.marks() == {claim.key: str(claim.fence)}


def test_an_owner_that_settles_unknown_on_a_claim_that_fell_back_is_looked_up(poster_with: WithPolicies) -> None:
    """Redis forgot that it crossed, and so how to look it up."""
    poster = poster_with(effect=sure()).open()
    claim = poster.claim(poster.register())
    poster.cross(claim)
    fall_back(poster, claim)
    poster.settle(claim, "unknown", error="read timeout", journaled=True)

    assert resync(poster.redis, poster.ledger.journal, AGENT)
    poster.open()

    assert poster.redis.zscore(poster.n.waiting, claim.call) is not None
    assert poster.asked(claim).payload == '"hello"'


def test_an_owner_that_settles_failed_on_a_claim_that_fell_back_leaves_no_payload(poster: Poster) -> None:
    call = poster.register()
    claim = poster.claim(call)
    poster.cross(claim)
    fall_back(poster, claim)
    poster.settle(claim, "failed", retry_ms=MINUTE, journaled=True)

    assert resync(poster.redis, poster.ledger.journal, AGENT)
    poster.open()

    again = poster.claim(call)
    assert poster.cross(again, '"another text"') == ["sending", '"another text"']


def test_a_doubt_that_the_journal_ends_is_over_with_all_that_belongs_to_it(poster_with: WithPolicies) -> None:
    """What a look-up found was written down, and Redis forgot it."""
    poster = poster_with(effect=sure()).open()
    claim = poster.doubt(poster.register())
    found = AttemptResult("done", result='{"result":1,"rung":null}', effect_happened=True)
    events.outcome(poster.ledger.journal, claim, found)
    change(poster, run="of yesterday")

    assert resync(poster.redis, poster.ledger.journal, AGENT)

    assert poster.key_of(claim)["state"] == "done"
    assert poster.document()["held"] == []
    assert poster.redis.zscore(poster.n.waiting, claim.call) is None


def test_an_absence_that_was_proven_before_a_restart_is_not_counted_for_the_next_doubt(
    poster_with: WithPolicies,
) -> None:
    """The proof was written down, and Redis forgot the second absence, but not the first."""
    # fails: rebuild.lua leaves `absences` with the key, so that one look-up of the next doubt is proof
    poster = poster_with(effect=sure()).open()
    call = poster.register()
    claim = poster.doubt(call)
    here = owner.boot_clock()
    poster.look(claim, Moment(here.boot, here.ms + 2 * MINUTE))
    assert poster.key_of(claim)["absences"] == "1"
    events.absent(poster.ledger.journal, claim)
    change(poster, run="of yesterday")
    assert resync(poster.redis, poster.ledger.journal, AGENT)
    assert poster.key_of(claim)["state"] == "waiting"

    again = poster.open().doubt(call, how="died")

    assert poster.look(again, Moment(here.boot, here.ms + 10 * MINUTE))[0] == "unknown"


def test_a_doubt_whose_look_up_redis_forgot_is_looked_up_after_the_comparison(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure()).open()
    claim = poster.doubt(poster.register())
    poster.redis.zrem(poster.n.waiting, claim.call)
    change(poster, run="of yesterday")

    assert resync(poster.redis, poster.ledger.journal, AGENT)

    assert poster.redis.zscore(poster.n.waiting, claim.call) is not None
    assert poster.open().asked(claim).fence == claim.fence


@pytest.mark.parametrize("stands", ["claimed", "sending"])
def test_claims_of_the_server_s_own_run_are_nobody_s_to_mend(poster: Poster, stands: str) -> None:
    """Between its intent and the line a claim looks like one that fell back."""
    call = poster.register()
    claim = poster.claim(call)
    if stands == "sending":
        poster.cross(claim)
    else:
        events.intent(poster.ledger.journal, call, claim, '"hello"', "")
    before = poster.dump()

    assert resync(poster.redis, poster.ledger.journal, AGENT)

    assert poster.dump() == before
    assert poster.cross(claim)[0] == "sending"


@pytest.mark.parametrize("outcome", ["done", "unknown"])
def test_who_settles_a_claim_that_fell_back_brings_back_what_redis_forgot(
    poster_with: WithPolicies, outcome: str
) -> None:
    poster = poster_with(effect=sure()).open()
    claim = poster.claim(poster.register())
    poster.cross(claim)
    before = poster.key_of(claim)
    fall_back(poster, claim)

    poster.settle(claim, outcome)  # type: ignore[arg-type]

    key = poster.key_of(claim)
    assert (key["state"], key["payload"]) == (outcome, before["payload"])
    assert key.get("verify") == (before["verify"] if outcome == "unknown" else None), "nobody looks for what is done"
    assert poster.marks() == {claim.key: str(claim.fence)}


def fall_back(poster: Poster, claim: Claim) -> None:
    """As if Redis had been started anew from what it held before the effect began."""
    name = poster.n.key(claim.key)
    poster.redis.hset(name, "state", "claimed")
    poster.redis.hdel(name, "payload", "verify", "settled", "result", "done_ms")
    poster.redis.hset(poster.n.call(claim.call), "state", "claimed")
    poster.redis.persist(poster.n.call(claim.call))
    poster.redis.zadd(poster.n.running, {claim.key: poster.now() + MINUTE})
    poster.redis.hdel(LEDGER, f"sent:{claim.key}")
    change(poster, run="of yesterday")


# Registering


def test_a_call_that_the_journal_refused_once_is_in_it_when_its_sender_repeats(poster: Poster) -> None:
    """The first time the door said 503; what it says 200 to must survive the loss of Redis."""
    call, journal = poster.call(), poster.ledger.journal
    away = journal.folder.with_name("away")
    journal.folder.rename(away)
    journal.folder.touch()  # not even root can write into a folder that is a file
    with pytest.raises(OSError, match="cannot be written"):
        poster.ledger.register(call)
    journal.folder.unlink()
    away.rename(journal.folder)

    poster.ledger.register(call)

    assert [record["call"] for record in poster.records("registered")] == [call.id]


@pytest.mark.parametrize("problem", [RuntimeError("no such post"), Refused("it is a draft")])
def test_a_call_that_ended_for_good_before_the_effect_does_not_come_back_with_a_recovery(
    poster: Poster, problem: Exception
) -> None:
    def broken(**_: str) -> str:
        raise problem

    call = poster.register()
    claim = poster.claim(call)
    poster.gate.body = broken
    attempt = Attempt(poster.gate, {"post_id": "hello"}, call, claim, poster.ledger, poster.scope_of(call))
    with suppress(RuntimeError):
        run_attempt(attempt)
    assert poster.call_of(call)["state"] == "rejected"
    poster.redis.flushall()

    recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    assert poster.redis.zrange(poster.n.waiting, 0, -1) == []
    assert poster.call_of(call).get("state") in {None, "rejected"}


def test_a_mended_agent_leaves_others_alone(poster: Poster) -> None:
    poster.publish("hello")
    before = poster.dump()
    resync(poster.redis, poster.ledger.journal, "somebody-else")

    assert poster.dump() == before
