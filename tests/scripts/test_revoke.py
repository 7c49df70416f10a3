"""state/ledger/revoke.py: calls are taken back by their ids, and the journal knows it when the person is told."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import pytest

from state import forbidden
from state.decision import Refusal
from state.errors import JournalUnavailable
from state.journal import opened
from state.ledger.revoke import UNKNOWN, Revoked
from state.recovery import recover
from state.recovery.rebuild import Progress
from state.redis.keys import Keys
from tests.scripts.poster import AGENT, Poster

AGENTS = ["other", AGENT]


def take_back(poster: Poster, *calls: str, **more: Any) -> list[Revoked]:
    return poster.ledger.revoke(agents=AGENTS, calls=calls, by="ada", keep_ms=60_000, **more)


def test_a_call_is_found_over_all_agents(poster: Poster) -> None:
    call = poster.register()

    (said,) = take_back(poster, call.id)

    assert said == Revoked(call.id, "cancelled", AGENT, call.key, is_new=True, has_key=True)


def test_the_journal_has_the_word_on_its_disk_with_its_key(poster: Poster) -> None:
    call = poster.register()

    take_back(poster, call.id, call.id)
    (again,) = take_back(poster, call.id)

    assert not again.is_new
    assert [(r["call"], r["state"], r.get("alone")) for r in poster.records("ended")] == [(call.id, "cancelled", None)]


def test_a_word_that_the_journal_did_not_get_is_written_when_it_is_said_again(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = poster.register()
    append = opened.current().append

    def full(event: str, fields: Any, *, sync: bool) -> None:
        if event == "ended":
            raise JournalUnavailable("the disk is full")
        append(event, fields, sync=sync)

    with monkeypatch.context() as context:
        context.setattr(opened.current(), "append", full)
        with pytest.raises(JournalUnavailable):
            take_back(poster, call.id)
    assert poster.call_of(call)["state"] == "cancelled"

    take_back(poster, call.id)

    assert len(poster.records("ended")) == 1
    assert "unwritten" not in poster.call_of(call)


def test_without_a_journal_the_word_is_not_taken(poster: Poster, monkeypatch: pytest.MonkeyPatch) -> None:
    call = poster.register()

    def full(*_: Any, **__: Any) -> None:
        raise JournalUnavailable("the disk is full")

    monkeypatch.setattr(opened.current(), "append", full)
    with pytest.raises(JournalUnavailable):
        take_back(poster, call.id)

    assert poster.call_of(call)["state"] == "queued"


def test_calls_without_an_effect_need_no_journal(poster: Poster) -> None:
    call = poster.register()

    take_back(poster, call.id, safe={poster.gate.name})

    assert poster.call_of(call)["state"] == "cancelled"
    assert poster.records("ended") == []


def test_the_message_of_an_id_that_is_forbidden_before_does_not_run(poster: Poster) -> None:
    (said,) = take_back(poster, "later")
    call = poster.call(id="later")

    decision = poster.admit(call)

    assert (said.state, said.is_new) == (UNKNOWN, True)
    assert isinstance(decision, Refusal)
    assert (decision.again, decision.receipt["error"], decision.receipt["by"]) == (True, "cancelled", "ada")
    assert poster.redis.pttl(Keys("other").call("later")) > 0


def test_an_id_that_is_forbidden_before_is_not_registered(poster: Poster) -> None:
    take_back(poster, "later")

    assert not poster.ledger.register(poster.call(id="later"))
    assert forbidden.is_forbidden(poster.redis, AGENT, "later")
    assert take_back(poster, "later")[0].state == "cancelled"
    assert poster.redis.zcard(poster.n.queued) == 0


@pytest.mark.parametrize("is_new_journal", [False, True])
def test_an_id_that_was_revoked_before_its_call_is_made_stays_so_after_a_loss_of_redis(
    poster: Poster, is_new_journal: bool
) -> None:
    poster.open().publish("earlier")
    take_back(poster, "follower")
    if is_new_journal:
        shutil.rmtree(poster.ledger.journal.folder)
        poster.open().publish("later")

    poster.redis.flushall()
    recover.recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    call = replace(poster.call(), id="follower")
    assert not poster.ledger.register(call)
    assert forbidden.is_forbidden(poster.redis, AGENT, "follower")
    assert poster.redis.ttl(Keys(AGENT).call("follower")) > 0
