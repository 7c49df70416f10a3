"""A journal that begins anew takes over from Redis what was accepted and what was sent, so that a later loss forgets nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from state.agents import audit
from state.agents.audit import Said
from state.journal import events
from state.journal.journal import Journal
from state.ledger import Ledger
from state.ledger.resolve import Resolution
from state.ledger.sweep import POISON_AFTER
from state.options import Options
from state.recovery import epoch, recover, takeover
from state.recovery.rebuild import Progress
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, HOUR, MINUTE, Poster, a_gate

KEY = "post:feed:hello"


@pytest.fixture
def poster(poster_with: WithPolicies) -> Poster:
    return poster_with().open()


def remove_journal(poster: Poster) -> None:
    shutil.rmtree(poster.ledger.journal.folder)


def lose_and_recover(poster: Poster) -> recover.RecoveryReport:
    """The new journal is begun by some other effect, and then Redis loses everything."""
    poster.open()
    poster.publish("another")
    poster.redis.flushall()
    report = recover.recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())
    poster.open()
    return report


def held(poster: Poster) -> list[dict[str, Any]]:
    return [entry for entry in poster.ledger.held(AGENT) if entry["key"] == KEY]


def words(how: Any) -> Resolution:
    return Resolution(how, "ada", "she says so")


def test_a_call_that_is_queued_comes_back(poster: Poster) -> None:
    call = poster.register()
    remove_journal(poster)

    assert lose_and_recover(poster).calls == 1

    kept = poster.call_of(call)
    assert (kept["state"], kept["key"], kept["kwargs"], kept["fingerprint"], kept["door"]) == (
        "waiting", KEY, call.kwargs, call.fingerprint, "test",
    )  # fmt: skip
    poster.claim(call)


def test_a_call_with_a_countdown_comes_back_with_its_due_time_and_its_expiry(poster: Poster) -> None:
    call = poster.call()
    assert poster.ledger.register(call, HOUR, 2 * HOUR, "digest of a webhook")
    before = poster.call_of(call)
    remove_journal(poster)

    lose_and_recover(poster)

    after = poster.call_of(call)
    for field in ("at_ms", "expires_ms", "digest"):
        assert after[field] == before[field]
    assert poster.redis.zscore(poster.n.waiting, call.id) == float(before["at_ms"])


def test_the_options_of_a_call_come_back(poster: Poster) -> None:
    said = Options(queue="slow", priority=3)
    call = poster.register(replace(poster.call(), options=said.as_json()))
    remove_journal(poster)

    lose_and_recover(poster)

    assert poster.call_of(call)["options"] == said.as_json()
    assert poster.call_of(call)["lane"] == said.lane


@pytest.mark.parametrize("started", [True, False])
def test_what_follows_a_call_that_is_done_is_started_once(poster: Poster, *, started: bool) -> None:
    said = Options(then=[{"task": "poster.another", "kwargs": {}, "options": {"task_id": "follower"}}])
    call = poster.register(replace(poster.call(), options=said.as_json()))
    claim = poster.claim(call)
    poster.cross(claim)
    poster.settle(claim, journaled=True)
    if started:
        poster.redis.zrem(poster.n.followed, call.id)
    remove_journal(poster)

    lose_and_recover(poster)

    assert (poster.redis.zscore(poster.n.followed, call.id) is None) == started


@pytest.mark.parametrize("stands", ["claimed", "deferred", "retried"])
def test_a_call_that_has_begun_but_sent_nothing_comes_back(poster: Poster, stands: str) -> None:
    call = poster.register()
    if stands == "deferred":
        assert poster.admit(call, closed="the disk is full")
    else:
        claim = poster.claim(call)
        if stands == "retried":
            poster.settle(claim, "failed", retry_ms=MINUTE)
    remove_journal(poster)

    lose_and_recover(poster)

    assert poster.key_of(KEY)["state"] == "waiting"
    poster.claim(call)


def test_a_call_that_was_sent_and_proven_absent_comes_back_with_its_frozen_payload(poster: Poster) -> None:
    call = poster.register()
    claim = poster.claim(call)
    poster.cross(claim, '"the first text"')
    poster.settle(claim, "unknown", journaled=True)
    poster.say_not_applied(claim)
    remove_journal(poster)

    lose_and_recover(poster)

    assert poster.key_of(KEY)["state"] == "waiting"
    assert poster.claim(call).payload == '"the first text"'


def test_what_was_kept_before_the_effect_comes_back(poster: Poster) -> None:
    call = poster.register()
    claim = poster.claim(call)
    poster.ledger.save_checkpoint(claim, "container", "17", "", 0)
    poster.ledger.save_checkpoint(claim, "container", "17")
    remove_journal(poster)

    lose_and_recover(poster)

    assert poster.ledger.checkpoint(poster.claim(call), "container") == "17"


def test_a_call_that_was_held_before_the_effect_is_held_again(poster: Poster) -> None:
    call = poster.register()
    for _ in range(POISON_AFTER):
        poster.reclaim(poster.claim(call), dead=True)
    remove_journal(poster)

    lose_and_recover(poster)

    [entry] = held(poster)
    assert (entry["state"], entry["why"]) == ("held", "its worker died, 3 times: poison")
    assert poster.ledger.resolve(AGENT, KEY, words("approve")) == "waiting"


@pytest.mark.parametrize("how", ["revoked", "by a word"])
def test_a_key_that_was_cancelled_stays_cancelled_with_its_reason(poster: Poster, how: str) -> None:
    call = poster.register()
    if how == "revoked":
        assert poster.cancel(call.id, "revoke")
    else:
        poster.ledger.resolve(AGENT, KEY, words("cancel"))
    why = poster.key_of(KEY)["why"]
    remove_journal(poster)

    lose_and_recover(poster)

    key = poster.key_of(KEY)
    assert (key["state"], key["why"]) == ("cancelled", why)
    assert why in poster.call_of(call)["answer"]
    assert poster.refused("hello")["error"] == "cancelled"


def test_the_list_of_decisions_comes_back_and_gains_nothing(poster: Poster) -> None:
    call = poster.register()
    poster.ledger.resolve(AGENT, call.key, words("cancel"))
    before = audit.read([AGENT], limit=9)
    remove_journal(poster)

    lose_and_recover(poster)

    after = audit.read([AGENT], limit=9)
    assert [(entry.at, entry.by, entry.subject) for entry in after] == [
        (entry.at, entry.by, entry.subject) for entry in before
    ]


def test_what_is_in_doubt_stays_in_doubt_and_what_is_done_stays_done(poster: Poster) -> None:
    poster.doubt("hello")
    poster.publish("done")
    remove_journal(poster)

    lose_and_recover(poster)

    assert poster.key_of(KEY)["state"] == "unknown"
    poster.replayed("done")


def test_a_call_that_was_replayed_waits_for_the_end_of_a_pause_as_before(poster: Poster) -> None:
    call = poster.register()
    poster.settle(poster.claim(call), "failed")
    assert poster.ledger.replay(AGENT, call.id, Said("replay", "ada"), {call.task})
    remove_journal(poster)

    lose_and_recover(poster)

    assert poster.call_of(call)["again"] == "1"


def test_calls_that_ended_and_those_without_an_effect_are_left_out(poster: Poster) -> None:
    poster.settle(poster.claim(poster.register()), "failed")
    poster.publish("done")
    safe = Poster(poster.redis, a_gate(effect=False))
    safe.register(safe.call("safe"))
    claim = safe.claim(safe.register(safe.call("kept")))
    safe.ledger.save_checkpoint(claim, "step", "1")
    safe.settle(claim, "failed", retry_ms=MINUTE)
    assert safe.cancel(safe.register(safe.call("cancelled")).id, "revoke")

    taken = list(takeover.records(poster.redis, AGENT))

    assert [record["key"] for event, record in taken if event != "decision"] == ["post:feed:done"] * 2


def test_a_call_of_an_older_version_that_does_not_say_whether_it_has_an_effect_is_taken_over(poster: Poster) -> None:
    call = poster.register()
    poster.redis.hdel(poster.n.call(call.id), "effect")

    assert [kind for kind, _ in takeover.records(poster.redis, AGENT)] == ["registered"]


def test_a_first_effect_takes_over_what_was_accepted_before_it(poster_with: WithPolicies) -> None:
    """The agent had no effect yet, and so no epoch; what it accepted was written into a journal that is gone."""
    poster = poster_with()
    call = poster.register(delay_ms=HOUR)
    remove_journal(poster)

    lose_and_recover(poster)

    assert poster.call_of(call)["state"] == "waiting"


def test_a_million_names_are_read_piece_by_piece(poster: Poster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "READ_AT_ONCE", 2)
    monkeypatch.setattr(takeover, "BATCH_SIZE", 3)
    calls = [poster.register(poster.call(f"post{number}")) for number in range(23)]

    taken = takeover.records(poster.redis, AGENT)

    assert {record["call"] for _, record in taken} == {call.id for call in calls}


# A journal of which only the newest file is gone


def in_an_older_month(poster: Poster) -> Path:
    """Let the present file be that of an older month; answers the file of this one."""
    journal = poster.ledger.journal
    [file] = journal.own_files()
    file.rename(file.with_name("2026-01.jsonl"))
    journal.append("probe", {}, sync=True)
    return file


def test_a_newest_file_that_is_gone_is_noticed_and_made_good(poster: Poster) -> None:
    newest = in_an_older_month(poster)
    call = poster.register(delay_ms=HOUR)
    poster.publish("done")
    newest.unlink()

    assert epoch.ledger_statuses(poster.redis, poster.ledger.journal, [AGENT])[AGENT].incomplete
    lose_and_recover(poster)

    poster.replayed("done")
    assert poster.call_of(call)["state"] == "waiting"


def test_nothing_is_sent_while_what_a_file_said_is_not_made_good(poster: Poster) -> None:
    newest = in_an_older_month(poster)
    claim = poster.claim(poster.register())
    newest.unlink()

    assert poster.cross(claim) == ["closed"]

    poster.open()
    assert poster.cross(claim)[0] == "sending"


def test_a_process_that_never_read_the_file_learns_of_it_from_the_journal(poster: Poster) -> None:
    newest = in_an_older_month(poster)
    poster.publish("done")
    newest.unlink()
    poster.ledger.journal.known(AGENT)

    other = Journal(poster.ledger.journal.folder)
    known = other.known(AGENT)
    assert known is not None
    assert known.incomplete
    Ledger(poster.redis, other).known(AGENT)

    again = poster.ledger.journal.known(AGENT)
    assert again is not None
    assert not again.incomplete


def restarted_and_compared(poster: Poster) -> None:
    """Redis is started anew and lost nothing; a worker compares it before any effect asked for the journal."""
    poster.redis.hset(poster.n.ledger, "run", "an earlier run")
    assert recover.resync(poster.redis, poster.ledger.journal, AGENT)


def recovered(poster: Poster) -> None:
    """A person recovers, although Redis lost nothing."""
    recover.recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())


@pytest.mark.parametrize("begin", [restarted_and_compared, recovered])
def test_an_epoch_does_not_hide_that_the_journal_lost_something(
    poster: Poster, begin: Callable[[Poster], None]
) -> None:
    newest = in_an_older_month(poster)
    call = poster.register(delay_ms=HOUR)
    poster.publish("done")
    newest.unlink()
    poster.ledger.journal.known(AGENT)

    begin(poster)
    lose_and_recover(poster)

    poster.replayed("done")
    assert poster.call_of(call)["state"] == "waiting"


def test_a_file_that_is_gone_together_with_redis_leaves_effects_closed(poster: Poster) -> None:
    """What the older files say was sent must not be sent again."""
    poster.publish("older")
    newest = in_an_older_month(poster)
    poster.publish("done")
    newest.unlink()
    poster.redis.flushall()

    poster.open()

    assert epoch.why_closed(poster.redis, poster.ledger.journal, AGENT)
    assert poster.deferred("hello")["error"] == "effects are closed"


def test_a_file_that_is_renamed_to_another_month_is_not_gone(poster: Poster) -> None:
    poster.publish("done")

    in_an_older_month(poster)
    poster.open()

    assert not poster.records("carried over")


# What is rebuilt says why, and stands in its list


def test_a_call_that_was_rejected_comes_back_with_its_reason_and_among_the_dead(poster: Poster) -> None:
    call = poster.register()
    claim = poster.claim(call)
    poster.cross(claim)
    poster.settle(claim, "failed", error="Threads says no", journaled=True)
    poster.redis.flushall()

    recover.recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    why = "Threads says no"
    assert poster.key_of(KEY)["why"] == why
    assert why in poster.call_of(call)["answer"]
    assert poster.story(KEY)[-1]["why"] == why
    [dead] = poster.ledger.dead(AGENT)
    assert (dead["call"], dead["error"]) == (call.id, why)


def test_the_reason_of_a_rejection_is_not_told_of_the_next_call(poster: Poster) -> None:
    test_a_call_that_was_rejected_comes_back_with_its_reason_and_among_the_dead(poster)
    poster.open()

    poster.claim("hello")

    assert "why" not in poster.key_of(KEY)


def test_a_doubt_that_no_look_up_could_end_is_looked_up_again_and_listed_with_its_reason(poster: Poster) -> None:
    claim = poster.doubt("hello")
    events.held(poster.ledger.journal, AGENT, KEY, claim.call, claim.fence, "20 look-ups, and no proof either way")
    poster.redis.flushall()

    recover.recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    [entry] = held(poster)
    assert (entry["state"], entry["why"]) == ("unknown", "20 look-ups, and no proof either way")


def test_a_task_that_is_done_without_an_effect_is_not_run_again_after_a_loss(poster: Poster) -> None:
    call = poster.register()
    poster.settle(poster.claim(call))
    events.ended(poster.ledger.journal, call, "done")
    poster.redis.flushall()

    report = recover.recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    assert report.calls == 0
