"""Two hosts with one journal on one Redis: after a restart both go on by themselves, after a loss one recovery is enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import settings
from state.decision import NeedsResync
from state.journal.shared.shared_journal import SharedJournal
from state.ledger import Ledger, attempt
from state.model import Claim
from state.recovery.rebuild import Progress
from state.recovery.recover import recover, resync
from state.redis.keys import Keys
from tests.harness import Valkey
from tests.harness.postgres import Postgres
from tests.scripts.poster import AGENT, Poster, a_gate
from tests.shared_journal.conftest import AHost

LEDGER = Keys(AGENT).ledger


@pytest.fixture(autouse=True)
def own_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    settings.current.cache_clear()
    yield
    monkeypatch.undo()
    settings.current.cache_clear()


def a_poster(valkey: Valkey, journal: SharedJournal) -> Poster:
    poster = Poster(valkey.client(), a_gate())
    poster.ledger = Ledger(valkey.client(), journal)
    return poster.open()


@pytest.fixture
def here(valkey: Valkey, a_host: AHost) -> Poster:
    return a_poster(valkey, a_host("here"))


@pytest.fixture
def there(here: Poster, valkey: Valkey, a_host: AHost) -> Poster:
    return a_poster(valkey, a_host("there"))


def publish(poster: Poster, post_id: str) -> None:
    """One effect whose outcome is in the journal, as after a real attempt."""
    claim = poster.open().claim(poster.register(poster.call(post_id)))
    assert poster.cross(claim)[0] == "sending"
    assert poster.settle(claim, journaled=True) is None


def compare(poster: Poster) -> bool:
    return resync(poster.redis, poster.ledger.journal, AGENT)


def test_both_agree_on_one_epoch(here: Poster, there: Poster) -> None:
    publish(here, "one")
    publish(there, "two")

    assert here.ledger.known(AGENT) == there.ledger.known(AGENT)
    assert here.redis.hget(LEDGER, "epoch") == here.ledger.known(AGENT).epoch


def test_after_a_restart_of_redis_both_go_on_by_themselves(here: Poster, there: Poster) -> None:
    publish(here, "one")
    publish(there, "two")
    here.redis.hset(LEDGER, "run", "of yesterday")
    assert isinstance(here.open().admit("three"), NeedsResync)

    assert compare(here)
    publish(here, "three")
    assert compare(there)
    publish(there, "four")

    here.open().replayed("four")


def test_an_effect_of_either_that_redis_lost_closes_both(here: Poster, there: Poster) -> None:
    publish(there, "one")
    fence = int(here.redis.hget(LEDGER, "fence") or 0)
    publish(here, "two")
    here.redis.hset(LEDGER, mapping={"run": "of yesterday", "fence": fence})

    assert not compare(there)  # the intent that is missing is of the other host
    assert not compare(here)


def test_one_recovery_opens_both_and_forgets_nothing_of_either(here: Poster, there: Poster) -> None:
    publish(here, "of here")
    publish(there, "of there")
    here.redis.flushall()
    for host in (here, there):
        assert not compare(host)

    recover(there.redis, there.ledger.journal, lambda _task, _kwargs: [], Progress())

    for host in (here, there):
        for post_id in ("of here", "of there"):
            host.open().replayed(post_id)
    assert isinstance(here.open().admit("three"), Claim)


def test_an_intent_that_the_recovery_overtook_is_not_sent(here: Poster, there: Poster) -> None:
    claim = here.open().claim(here.register(here.call("one")))
    recover(there.redis, there.ledger.journal, lambda _task, _kwargs: [], Progress())

    assert here.cross(claim) == ["closed"]


def test_the_intent_is_committed_before_redis_is_asked(
    here: Poster, postgres_server: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    original = attempt._begin_effect

    def looking(*args: object, **kwargs: object) -> object:
        [(line,)] = postgres_server.sql("SELECT line FROM gatehouse_journal WHERE event = 'intent'", database)
        seen.append(str(line))
        seen.append(here.key_of("post:feed:one")["state"])
        return original(*args, **kwargs)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(attempt, "_begin_effect", looking)
    publish(here, "one")

    [line, state] = seen
    assert '"key":"post:feed:one"' in line
    assert state == "claimed"
