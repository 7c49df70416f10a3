"""replay.lua: a call that ended without a result runs again; and the list of those that could."""

from __future__ import annotations

from typing import Any

import pytest

from state.agents.audit import Said
from state.decision import Refusal
from state.errors import JournalUnavailable
from state.ledger.resolve import NotResolved
from state.model import Call
from state.recovery.rebuild import Progress
from state.recovery.recover import recover
from state.redis.script import Script
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, DAY, LEDGER, Poster


@pytest.fixture
def poster(poster_with: WithPolicies) -> Poster:
    return poster_with().open()


def replay(poster: Poster, call: Call | str) -> bool:
    id_ = call.id if isinstance(call, Call) else call
    effects = {poster.gate.name} if poster.gate.effect else set()
    return poster.ledger.replay(AGENT, id_, Said("replay", "ada", why="again"), effects)


def dead(poster: Poster, post_id: str = "hello", *, error: str = "it broke") -> Call:
    """A registered call whose only attempt failed."""
    call = poster.register(poster.call(post_id))
    claim = poster.claim(call)
    poster.cross(claim)
    poster.settle(claim, "failed", error=error, journaled=True)
    return call


def script(poster: Poster, call: Call) -> list[Any]:
    said = Said("replay", "ada", why="again")
    return Script("replay")(poster.redis, poster.n.of(call.key, call.id), call=call.id, decision=said.as_json())


# "replayed"


def test_a_dead_call_runs_again_under_its_own_id_as_if_it_were_new(poster: Poster) -> None:
    call = dead(poster)
    assert [entry["call"] for entry in poster.ledger.dead(AGENT)] == [call.id]

    assert replay(poster, call)

    assert poster.ledger.dead(AGENT) == []
    assert poster.redis.zcard(poster.n.dead) == 0
    assert (poster.call_of(call)["state"], poster.key_of(call.key)["state"]) == ("waiting", "waiting")
    [due] = poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: True)
    assert (due.call, due.kwargs) == (call.id, call.kwargs)
    again = poster.claim(call)
    assert (again.attempt, again.payload) == (1, "")


def test_nothing_of_a_replayed_call_expires(poster: Poster) -> None:
    call = dead(poster)
    names = (poster.n.key(call.key), poster.n.call(call.id), poster.n.history(call.key))
    for name in names:
        assert LEDGER - DAY < poster.redis.pttl(name) <= LEDGER

    replay(poster, call)

    assert [poster.redis.pttl(name) for name in names] == [-1, -1, -1]


def test_a_call_that_was_too_old_is_young_again(poster_with: WithPolicies) -> None:
    poster = poster_with(max_age="1h").open()
    call = poster.register()
    poster.age_call(call, DAY)
    assert poster.refused(call)["error"] == "too old"

    assert replay(poster, call)

    assert poster.claim(call)


def test_a_call_that_expired_runs_when_a_person_says_so(poster: Poster) -> None:
    call = poster.call()
    poster.ledger.register(call, expires_ms=1)
    poster.redis.hset(poster.n.call(call.id), "expires_ms", poster.now() - 1)
    assert poster.refused(call)["error"] == "expired"

    assert replay(poster, call)

    assert poster.claim(call)


def test_the_story_names_who_replayed_it_and_the_revision_grows(poster: Poster) -> None:
    call = dead(poster)
    before = poster.revision()

    replay(poster, call)

    told = poster.story(call.key)[-1]
    assert (told["event"], told["by"], told["call"]) == ("replayed by a person", "ada", call.id)
    assert poster.revision() > before


def test_a_replayed_call_is_poison_only_after_three_workers_of_its_own(poster: Poster) -> None:
    call = poster.register()
    for _ in range(2):
        poster.reclaim(poster.claim(call), dead=True)
    poster.settle(poster.claim(call), "failed")
    replay(poster, call)

    assert poster.reclaim(poster.claim(call), dead=True) == "queued"


def test_a_call_whose_key_is_gone_gets_it_back_whole(poster: Poster) -> None:
    call = dead(poster)
    poster.redis.delete(poster.n.key(call.key))

    assert replay(poster, call)

    key = poster.key_of(call.key)
    assert (key["state"], key["call"], key["task"], key["fingerprint"]) == (
        "waiting",
        call.id,
        call.task,
        call.fingerprint,
    )


def test_a_replayed_call_waits_while_the_agent_is_paused(poster: Poster) -> None:
    call = dead(poster)
    poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')
    replay(poster, call)

    assert poster.deferred(call)["stage"] == "paused"
    poster.redis.hdel(poster.n.agent_meta, "pause")

    assert poster.claim(call)


# The key belongs to another call by now


def test_a_call_whose_key_is_done_meanwhile_gets_that_result(poster: Poster) -> None:
    call = dead(poster)
    poster.publish("hello")

    assert replay(poster, call)

    assert poster.key_of(call.key)["state"] == "done"
    assert poster.redis.pttl(poster.n.key(call.key)) == -1
    assert poster.replayed(call).result == '{"result":"it went well","rung":null}'
    assert poster.redis.zcard(poster.n.waiting) == poster.redis.zcard(poster.n.queued) == 0


@pytest.mark.parametrize("stands", ["claimed", "sending", "unknown", "waiting"])
def test_a_call_whose_key_another_call_has_takes_nothing_from_it(poster: Poster, stands: str) -> None:
    call, other = dead(poster), poster.call("hello")
    claim = poster.claim(other, owner="other/1")
    if stands != "claimed":
        poster.cross(claim)
    if stands == "unknown":
        poster.settle(claim, "unknown")
    if stands == "waiting":
        poster.settle(claim, "failed", retry_ms=DAY)
    before = poster.key_of(call.key)

    assert replay(poster, call)

    assert poster.key_of(call.key) == before
    assert before["state"] == stands


def test_while_another_call_is_in_doubt_a_replayed_one_is_refused(poster: Poster) -> None:
    call = dead(poster)
    poster.doubt("hello")
    replay(poster, call)

    assert poster.refused(call)["error"] == "outcome unknown"


def test_a_replayed_call_takes_its_key_back_from_one_that_was_refused_later(poster: Poster) -> None:
    call = dead(poster)
    dead(poster)

    replay(poster, call)

    assert poster.key_of(call.key)["call"] == call.id
    assert poster.claim(call)


# "kept"


@pytest.mark.parametrize("stands", ["queued", "claimed", "sending", "done", "unknown", "waiting", "cancelled"])
def test_a_call_that_is_not_over_or_has_a_result_is_kept(poster: Poster, stands: str) -> None:
    call = poster.register()
    if stands == "cancelled":
        poster.cancel(call.id, "ada")
    elif stands != "queued":
        claim = poster.claim(call)
        if stands != "claimed":
            poster.cross(claim)
        if stands == "waiting":
            poster.settle(claim, "failed", retry_ms=DAY)
        elif stands in {"done", "unknown"}:
            poster.settle(claim, stands)  # type: ignore[arg-type]
    before = poster.dump()

    with pytest.raises(NotResolved, match=f"is {stands}; only a call that was rejected can be replayed"):
        replay(poster, call)

    assert poster.dump() == before


def test_a_call_that_was_never_known_is_nobody_s(poster: Poster) -> None:
    before = poster.dump()

    assert not replay(poster, "never")
    assert script(poster, poster.call("never")) == ["kept", "gone"]

    assert poster.dump() == before


def test_replaying_twice_is_replaying_once(poster: Poster) -> None:
    call = dead(poster)
    replay(poster, call)
    before = poster.dump()

    assert script(poster, call) == ["kept", "waiting"]

    assert poster.dump() == before


def test_a_call_whose_arguments_never_fitted_is_kept(poster: Poster) -> None:
    """It has no fingerprint: nobody knows what to run."""
    call = poster.call()
    poster.ledger.reject(call, {"error": "invalid arguments", "stage": "input"}, DAY)

    assert script(poster, call) == ["kept", "rejected"]
    assert isinstance(poster.admit(call), Refusal)


# Dead calls


def test_dead_calls_are_listed_newest_first_with_their_error(poster: Poster) -> None:
    first, second = dead(poster, "one", error="503"), dead(poster, "two", error="404")
    poster.redis.zincrby(poster.n.dead, -DAY, first.id)

    listed = poster.ledger.dead(AGENT)

    assert [(entry["call"], entry["key"], entry["error"]) for entry in listed] == [
        (second.id, second.key, "404"),
        (first.id, first.key, "503"),
    ]


def test_a_call_that_our_own_rules_refused_is_not_dead(poster: Poster) -> None:
    poster.fail("hello", "refused")

    assert poster.ledger.dead(AGENT) == []


def test_a_call_that_expired_from_redis_is_not_listed(poster: Poster) -> None:
    call = dead(poster)
    poster.redis.delete(poster.n.call(call.id))

    assert poster.ledger.dead(AGENT) == []


def test_the_list_of_the_dead_stays_short(poster: Poster) -> None:
    with poster.redis.pipeline() as pipe:
        for number in range(1500):
            pipe.zadd(poster.n.dead, {f"old{number}": number})
        pipe.execute()

    newest = dead(poster)

    assert poster.redis.zcard(poster.n.dead) == 1000
    assert poster.redis.zrange(poster.n.dead, -1, -1) == [newest.id]


# The loss of Redis


def test_a_replayed_call_survives_the_loss_of_redis(poster: Poster) -> None:
    call = dead(poster)
    replay(poster, call)
    poster.redis.flushall()

    recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    assert poster.call_of(call)["state"] == "waiting"
    assert poster.redis.zscore(poster.n.waiting, call.id) is not None


def test_a_call_that_failed_before_the_effect_and_was_replayed_survives_it_too(poster: Poster) -> None:
    call = poster.register()
    poster.settle(poster.claim(call), "failed")
    replay(poster, call)
    poster.redis.flushall()

    recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    assert poster.call_of(call)["state"] == "waiting"


def test_a_repeat_safe_call_is_not_registered_in_the_journal(poster_with: WithPolicies) -> None:
    """Nothing would ever end its record there, so each recovery would run it again."""
    poster = poster_with(effect=False)
    call = poster.register()
    poster.settle(poster.claim(call), "failed")

    assert replay(poster, call)

    assert poster.claim(call).attempt == 1
    assert poster.records("registered") == []


def test_without_a_journal_an_effect_is_not_replayed(poster: Poster) -> None:
    """It would be forgotten with Redis."""
    call = dead(poster)
    folder = poster.ledger.journal.folder
    folder.rename(folder.with_name("away"))
    folder.touch()  # not even root can write into a folder that is a file
    before = poster.dump()

    with pytest.raises(JournalUnavailable):
        replay(poster, call)

    assert poster.dump() == before
