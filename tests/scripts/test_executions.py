"""How an attempt ends whose body does what bodies should not do; the ledger is the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from clients import http
from gatekeeper.errors import ClaimLost, InvalidOutput, OutcomeUnknown
from gatekeeper.policies.spec import TaskSpec
from gatekeeper.run import pipeline
from gatekeeper.run.answers import Answer
from gatekeeper.run.attempt import Attempt, current
from gatekeeper.run.checkpoints import keep
from gatekeeper.run.effect import effect
from gatekeeper.run.pipeline import run_attempt
from state.agents import history
from state.decision import RegisteredKey
from state.errors import JournalUnavailable
from state.ledger import resolve
from state.ledger.resolve import Resolution
from state.model import Call, Claim
from state.redis import client
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, Poster, a_gate, sure
from tests.web_server import WebServer
from workers.commands import explain

Body = Callable[..., Any]


@pytest.fixture
def poster(poster_with: WithPolicies, monkeypatch: pytest.MonkeyPatch) -> Poster:
    poster = poster_with().open()
    monkeypatch.setattr(client, "client", lambda: poster.redis)
    return poster


def run(poster: Poster, body: Body, call: Call | None = None) -> tuple[Claim, Answer]:
    """One attempt with this body."""
    call = call or poster.register()
    claim = poster.claim(call)
    poster.gate.body = body
    attempt = Attempt(poster.gate, {"post_id": "hello"}, call, claim, poster.ledger, poster.scope_of(call))
    try:
        return claim, run_attempt(attempt)
    except Exception as error:
        error.add_note(claim.key)
        raise


# Answers of a provider that say neither yes nor no


@pytest.fixture
def redirecting() -> Iterator[str]:
    """A provider that moved: it answers each request with the status that its path names."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(int(self.path.strip("/")))
            self.send_header("Location", "https://elsewhere.example/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    server = WebServer(Handler).start()
    yield server.url
    server.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 399])
def test_a_redirect_of_what_sends_an_effect_is_no_yes(poster: Poster, redirecting: str, status: int) -> None:
    def sends(**_: str) -> str:
        with effect(payload="hello"):
            http.request("POST", f"{redirecting}/{status}", json={}).raise_for_status()
        return "sent"

    with pytest.raises(OutcomeUnknown, match="redirects are not followed"):
        run(poster, sends)

    assert poster.key_of("post:feed:hello")["state"] == "unknown"


def test_a_redirect_outside_the_line_is_an_answer_like_others(poster: Poster, redirecting: str) -> None:
    def asks(**_: str) -> str:
        assert http.request("POST", f"{redirecting}/308", json={}).status_code == 308
        with effect(payload="hello"):
            return "sent"

    _, answer = run(poster, asks)

    assert answer["ok"]


# How the attempts of a key are told


def test_attempts_are_numbered_by_key_also_when_a_person_let_the_call_count_anew(poster: Poster) -> None:
    answers = iter([ConnectionError("hung up"), None])

    def sends(**_: str) -> str:
        with effect(payload="hello"):
            if error := next(answers):
                raise error
            return "sent"

    call = poster.register()
    with pytest.raises(OutcomeUnknown) as doubt:
        run(poster, sends, call)
    poster.ledger.resolve(AGENT, doubt.value.__notes__[0], Resolution("not-applied", "ada", "I looked", force=True))
    run(poster, sends, call)

    record = history.read_history([AGENT], "post:feed:hello")
    assert record is not None
    assert [each["attempt"] for each in record["story"] if each["event"] == "claimed"] == [1, 1]
    text = explain._text(record, verbose=False, whole=True)
    assert "attempt 1 begins" in text
    assert text.count("attempt 2 begins") == 1
    assert "attempt 2 took" in text
    assert "Attempt 2 was confirmed" in text
    assert "2 attempts)" in text


# Claims that are lost inside the effect


def test_what_is_known_to_have_happened_is_kept_by_who_lost_the_claim(poster: Poster) -> None:
    def loses_it(**_: str) -> str:
        with effect(payload="hello"):
            pass
        name, mine = poster.n.key("post:feed:hello"), current().claim.owner
        poster.redis.hset(name, "owner", "somebody else")
        try:
            keep("container", "17")
        finally:
            poster.redis.hset(name, "owner", mine)
        return "never"

    with pytest.raises(ClaimLost, match="container"):
        run(poster, loses_it)

    kept = poster.key_of("post:feed:hello")
    assert kept["state"] == "done"
    assert "a later step failed" in kept["flaw"]
    assert [record["outcome"] for record in poster.records("outcome")] == ["done"]


@pytest.mark.parametrize(("where", "stands"), [("before", "rejected"), ("behind", "done")])
def test_the_lost_claim_of_another_task_is_an_error_like_others(poster: Poster, where: str, stands: str) -> None:
    def calls_another(**_: str) -> str:
        if where == "behind":
            with effect(payload="hello"):
                pass
        raise ClaimLost(AGENT, "another:key", "while the task ran")

    with pytest.raises(ClaimLost):
        run(poster, calls_another)

    assert poster.key_of("post:feed:hello")["state"] == stands


# Outputs that do not fit


def test_an_output_that_does_not_fit_keeps_no_key_if_nothing_was_sent(poster_with: WithPolicies) -> None:
    asked: list[object] = []
    poster = poster_with(effect=replace(sure(), undo=asked.append)).open()

    with pytest.raises(InvalidOutput):
        run(poster, lambda **_: None)

    assert poster.key_of("post:feed:hello")["state"] == "rejected"
    assert asked == []


def test_an_output_that_does_not_fit_keeps_the_key_of_what_was_sent(poster: Poster) -> None:
    def sends(**_: str) -> None:
        with effect(payload="hello"):
            pass

    claim, answer = run(poster, sends)

    assert answer["error"] == "output validation failed"
    assert poster.key_of(claim)["state"] == "done"


# Templates that change while a call waits


def another_template(body: Body) -> TaskSpec:
    gate = a_gate(key="renamed:{post_id}")
    gate.body = body
    return gate


def test_a_call_keeps_the_key_under_which_it_was_registered(poster: Poster) -> None:
    call = poster.register()

    assert poster.admit(replace(call, key="renamed:hello")) == RegisteredKey("post:feed:hello")


def test_a_call_that_may_have_been_sent_is_not_sent_again_under_another_key(poster: Poster) -> None:
    """Between its attempts a deploy changed the template of its key."""
    sent: list[str] = []

    def sends(**_: str) -> str:
        with effect(payload="hello"):
            sent.append("hello")
            raise TimeoutError("no answer")

    call = poster.register()
    with suppress(OutcomeUnknown):
        run(poster, sends, call)

    answer = pipeline.run(another_template(sends), (), {"post_id": "hello"}, call_id=call.id, origin="test")

    assert sent == ["hello"]
    assert (answer["ok"], answer["error"]) == (False, "unknown")
    assert poster.key_of("renamed:hello") == {}


def test_a_call_that_waits_runs_under_its_old_key(poster: Poster) -> None:
    call = poster.register()

    answer = pipeline.run(
        another_template(lambda **_: "fine"), (), {"post_id": "hello"}, call_id=call.id, origin="test"
    )

    assert answer["ok"]
    assert poster.key_of("post:feed:hello")["state"] == "done"


# A person's word that came too late


def test_a_word_that_is_not_heard_is_not_in_the_journal_either(poster: Poster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt settles in the moment in which the person speaks."""
    claim = poster.doubt()
    journal = poster.ledger.journal
    append = journal.append

    def settles_meanwhile(event: str, fields: Any, *, sync: bool) -> None:
        append(event, fields, sync=sync)
        poster.redis.hset(poster.n.key(claim.key), "state", "waiting")

    monkeypatch.setattr(journal, "append", settles_meanwhile)

    with pytest.raises(resolve.NotResolved, match="it is waiting now"):
        poster.ledger.resolve(AGENT, claim.key, Resolution("applied", "ada", "I looked"))

    assert poster.records("resolved") == []


def test_a_word_that_the_journal_did_not_get_is_told_and_can_be_said_again(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = poster.doubt()
    journal = poster.ledger.journal
    append = journal.append

    def full(event: str, fields: Any, *, sync: bool) -> None:
        if event == "resolved":
            raise JournalUnavailable("the disk is full")
        append(event, fields, sync=sync)

    def cancel() -> str:
        return poster.ledger.resolve(AGENT, claim.key, Resolution("cancel", "ada", "I looked"))

    with monkeypatch.context() as context:
        context.setattr(journal, "append", full)
        with pytest.raises(resolve.NotResolved, match="is cancelled in Redis, but the journal does not know it"):
            cancel()

    assert cancel() == "cancelled"
    assert len(poster.records("resolved")) == 1
    with pytest.raises(resolve.NotResolved, match="is cancelled; this resolution is for"):
        cancel()
