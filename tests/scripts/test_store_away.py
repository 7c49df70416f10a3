"""Redis is away, or takes no writes, for a moment: nothing was sent, so the call waits, and no attempt of it is spent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

import gatekeeper
from gatekeeper.errors import LedgerUnavailable, NotApplied, OutcomeUnknown
from gatekeeper.run import pipeline
from gatekeeper.run.answers import Answer
from gatekeeper.run.attempt import Attempt
from gatekeeper.run.effect import effect
from gatekeeper.run.pipeline import run_attempt
from state.ledger import Ledger
from state.redis import client as store
from state.redis.away import RedisAway, is_transient
from tests.harness import Valkey, until
from tests.scripts.poster import AGENT, Poster, a_gate
from tests.torture.proxied import Proxied

Body = Callable[..., Any]
KEY = "post:feed:hello"
#: Seconds until Redis is well again.
SOON = 0.3


class Trouble:
    """One way in which a server may refuse its work for a while."""

    def __init__(self, server: Valkey) -> None:
        self._server = server
        self._busy: threading.Thread | None = None

    def begin(self, how: str) -> None:
        """Let it begin, and end it soon."""
        getattr(self, how)(on=True)
        threading.Timer(SOON, getattr(self, how), kwargs={"on": False}).start()

    def killed(self, *, on: bool) -> None:
        self._server.kill9() if on else self._server.start()

    def full(self, *, on: bool) -> None:
        self._server.client().config_set("maxmemory", 1 if on else 0)

    def without_replicas(self, *, on: bool) -> None:
        self._server.client().config_set("min-replicas-to-write", int(on))

    def read_only(self, *, on: bool) -> None:
        self._server.client().execute_command("REPLICAOF", *(("127.0.0.1", 1) if on else ("NO", "ONE")))

    def without_master(self, *, on: bool) -> None:
        self._server.client().config_set("replica-serve-stale-data", "no" if on else "yes")
        self.read_only(on=on)

    def busy(self, *, on: bool) -> None:
        if not on:
            self._server.client().script_kill()
            assert self._busy
            self._busy.join()
            return
        self._server.client().config_set("lua-time-limit", 10)
        self._busy = threading.Thread(target=self._loop)
        self._busy.start()
        until(self._is_busy, what="a script to run for ever")

    def _loop(self) -> None:
        with Redis(unix_socket_path=str(self._server.socket)) as redis, pytest.raises(ResponseError):
            redis.eval("while true do end", 0)

    def _is_busy(self) -> bool:
        try:
            return not self._server.client().ping()
        except ResponseError as error:
            return "BUSY" in str(error)


TROUBLES = ("killed", "full", "without_replicas", "read_only", "without_master", "busy")


@pytest.fixture
def trouble(fragile_valkey: Valkey) -> Trouble:
    return Trouble(fragile_valkey)


@pytest.fixture
def redis(fragile_valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """The product's own client of that server, which does not try again by itself: the outage need not be long."""
    client = store.client(fragile_valkey.url)
    client.set_retry(Retry(NoBackoff(), 0))
    client.config_set("appendfsync", "always")  # a kill must lose nothing here, however busy the disk is
    monkeypatch.setattr(store, "client", lambda: client)
    yield client
    client.close()


@pytest.fixture
def poster(redis: Redis) -> Poster:
    return Poster(redis, a_gate(attempts=1)).open()


def run(poster: Poster, body: Body) -> Answer:
    """The only attempt of a fresh call, with this body."""
    call = poster.register()
    claim = poster.claim(call)
    poster.gate.body = body
    attempt = Attempt(poster.gate, {"post_id": "hello"}, call, claim, poster.ledger, poster.scope_of(call))
    return run_attempt(attempt)


def waits_unspent(poster: Poster, answer: Answer) -> None:
    """The call asks again, and has all its attempts."""
    key = poster.key_of(KEY)
    assert answer["deferred"] is True
    assert (answer["stage"], answer["ok"]) == ("ledger", False)
    assert key["state"] == "waiting"
    assert poster.redis.hget(poster.n.call(key["call"]), "attempts") == "0"
    assert poster.redis.zscore(poster.n.waiting, key["call"])
    assert not poster.ledger.dead("poster")


@pytest.mark.parametrize("how", TROUBLES)
def test_a_line_that_cannot_be_crossed_for_now_costs_no_attempt(poster: Poster, trouble: Trouble, how: str) -> None:
    def body(**_: str) -> str:
        trouble.begin(how)
        with effect(payload="hello"):
            raise AssertionError("nothing may be sent")

    waits_unspent(poster, run(poster, body))


@pytest.mark.parametrize(
    ("how", "asks"), [("killed", "memory"), ("without_master", "recall"), ("busy", "keep"), ("full", "keep")]
)
def test_whatever_a_body_asks_of_the_store_before_the_effect_costs_no_attempt(
    poster: Poster, trouble: Trouble, how: str, asks: str
) -> None:
    def body(**_: str) -> str:
        trouble.begin(how)
        _ask(asks)
        raise AssertionError("there is no answer")

    waits_unspent(poster, run(poster, body))


def test_an_error_that_the_body_made_of_it_is_no_failure_either(poster: Poster, trouble: Trouble) -> None:
    def body(**_: str) -> str:
        trouble.begin("killed")
        try:
            gatekeeper.memory().get("seen")
        except Exception as error:
            raise RuntimeError("what was seen cannot be read") from error
        return "never"

    waits_unspent(poster, run(poster, body))


@pytest.mark.parametrize(
    ("how", "asks"), [("killed", "memory"), ("without_master", "recall"), ("busy", "keep"), ("full", "keep")]
)
def test_inside_the_effect_the_store_is_waited_for(poster: Poster, trouble: Trouble, how: str, asks: str) -> None:
    def body(**_: str) -> str:
        with effect(payload="hello"):
            trouble.begin(how)
            _ask(asks)
        return "sent"

    assert run(poster, body)["result"] == "sent"
    assert poster.key_of(KEY)["state"] == "done"


def test_a_store_that_stays_away_inside_the_effect_proves_nothing(
    poster: Poster, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.run.attempt.PATIENCE", 0.0)

    def body(**_: str) -> str:
        with effect(payload="hello"):
            trouble.begin("full")
            gatekeeper.keep("container", "17")
        return "never"

    with pytest.raises(OutcomeUnknown):
        run(poster, body)

    assert poster.key_of(KEY)["state"] == "unknown"


def test_an_author_who_knows_that_nothing_was_sent_spends_no_attempt_either(
    poster: Poster, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a destination does whose first step no reader can see."""
    monkeypatch.setattr("gatekeeper.run.attempt.PATIENCE", 0.0)

    def body(**_: str) -> str:
        with effect(payload="hello"):
            trouble.begin("full")
            try:
                gatekeeper.keep("container", "17")
            except RedisAway as error:
                raise NotApplied("nothing was published") from error
        return "never"

    waits_unspent(poster, run(poster, body))


def test_a_failure_that_has_nothing_to_do_with_the_store_spends_the_attempt(poster: Poster) -> None:
    def body(**_: str) -> str:
        raise RuntimeError("the service is broken")

    with pytest.raises(RuntimeError, match="the service is broken"):
        run(poster, body)

    assert poster.key_of(KEY)["state"] == "rejected"
    [call] = poster.ledger.dead("poster")
    assert call["error"] == "RuntimeError: the service is broken"


def test_an_end_is_in_the_journal_only_once_redis_has_it(poster: Poster, trouble: Trouble) -> None:
    """Redis is compared with the journal right after a restart: it must not learn of an end that is not settled."""
    told: list[bool] = []

    def body(**_: str) -> str:
        trouble.begin("killed")
        threading.Timer(SOON / 2, lambda: told.append('"ended"' in _journal(poster))).start()
        raise RuntimeError("the service is broken")

    with pytest.raises(RuntimeError):
        run(poster, body)

    assert told == [False]
    ended = json.loads(next(line for line in _journal(poster).splitlines() if '"ended"' in line))
    assert (ended["state"], ended["why"]) == ("rejected", "RuntimeError: the service is broken")


def test_a_claim_whose_answer_was_lost_is_given_up_at_once_and_is_no_fault_of_the_call(
    fragile_valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis made the claim, and its answer did not arrive: nobody works on it, so nobody need wait for its lease."""
    proxy = Proxied("to-store", f"unix:{fragile_valkey.socket}", tmp_path, seed=1)
    client = store.client(f"redis://127.0.0.1:{proxy.port}/0")
    client.set_retry(Retry(NoBackoff(), 0))
    monkeypatch.setattr(store, "client", lambda: client)
    poster = Poster(client, a_gate(attempts=1)).open()
    poster.publish("another")  # the scripts are loaded, and connections stand
    call = poster.register()
    try:
        proxy.order(lose=1)
        with pytest.raises(LedgerUnavailable):
            pipeline.run(poster.gate, (), {"post_id": "hello"}, call_id=call.id, origin="message")
        assert fragile_valkey.client().hget(poster.n.key(KEY), "state") == "claimed"

        assert Ledger(client).reclaim_lost(AGENT)[KEY] == "queued"

        assert "lost" not in poster.call_of(call)
        poster.claim(call)
    finally:
        client.close()
        proxy.close()


@pytest.mark.parametrize(
    "words",
    [
        "MISCONF Errors writing to the AOF file: No space left on device",
        "NOREPLICAS Not enough good replicas to write.",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "ERR Error running script (call to f_ab): @user_script:12: @user_script: 12: -OOM command not allowed when used",
        "Error running script (call to f_ab): @user_script:12: -READONLY You can't write against a read only replica.",
    ],
)
def test_what_a_server_says_of_a_trouble_that_passes(words: str) -> None:
    assert is_transient(ResponseError(words))


@pytest.mark.parametrize(
    "words",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "BUSYGROUP Consumer Group name already exists",
        "ERR user_script:12: attempt to index a nil value. script: BUSYBODY, on @user_script:12.",
        "NOPERM this user has no permissions to run the 'evalsha' command",
    ],
)
def test_what_a_server_says_of_a_trouble_that_stays(words: str) -> None:
    assert not is_transient(ResponseError(words))


def _ask(what: str) -> None:
    match what:
        case "memory":
            gatekeeper.memory().get("seen")
        case "recall":
            gatekeeper.recall("container")
        case _:
            gatekeeper.keep("container", "17")


def _journal(poster: Poster) -> str:
    return "".join(path.read_text() for path in poster.ledger.journal.files())
