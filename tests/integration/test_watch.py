"""One look of the bell on a real server: what is found, what is kept before anything is sent, and that nothing is doubled."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

import settings
from gatekeeper.policies.policy import Budget
from gatekeeper.policies.spec import registered
from state.agents import attention, incidents, pause
from state.redis.keys import Keys
from tasks import publisher  # noqa: F401 - registers the agent
from tasks.monitor import conditions, incident_log, slow_conditions, watch
from tasks.monitor.conditions import Condition
from tasks.monitor.watch import Watch
from tests.harness import Valkey

AGENT = "publisher"


@pytest.fixture
def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, valkey: Valkey) -> Iterator[Redis]:
    for name, value in {"STATE_DIR": str(tmp_path), "ALERT_URLS": "json://127.0.0.1:9/ json://127.0.0.1:10/"}.items():
        monkeypatch.setenv(name, value)
    settings.current.cache_clear()
    monkeypatch.setattr(slow_conditions, "all_of", lambda _: iter(()))
    yield valkey.client()
    settings.current.cache_clear()


def put(redis: Redis, key: str, seconds_ago: float = 0, **fields: Any) -> None:
    """Put a key among those that wait for a person, as scripts do."""
    since = round(1000 * (time.time() - seconds_ago))
    entry = {"key": key, "state": "held", "since": since, "why": "no proof"} | fields
    redis.hset(Keys(AGENT).held, key, json.dumps(entry))


def found() -> dict[str, Condition]:
    return {each.name: each for each in conditions.of_agents(datetime.now(UTC))}


def look(redis: Redis) -> list[str]:
    """Look as a worker does whose turn it is; return the ids that were to be registered."""
    redis.delete(incidents.turn_key())
    return [each.id for each in Watch().look()]


def test_keys_in_doubt_held_and_waiting_for_approval_are_three_kinds(redis: Redis) -> None:
    put(redis, "publish:feed:a", state="unknown")
    put(redis, "publish:feed:b")
    put(redis, "publish:feed:c", kind="approval", payload={"text": "a secret plan"})

    seen = found()

    assert seen["held publish:feed:a"].settle > timedelta(0)
    assert seen["held publish:feed:b"].what == "publish:feed:b is held for a person: no proof"
    assert seen["approval publish:feed:c"].urgent is False
    assert seen["held publish:feed:b"].page == "/keys/publisher/publish%3Afeed%3Ab"
    assert "secret plan" not in repr(seen)


def test_what_was_tried_with_a_key_is_told(redis: Redis) -> None:
    put(redis, "publish:feed:a", state="unknown")
    redis.hset(Keys(AGENT).key("publish:feed:a"), mapping={"attempts": 1, "looks": 3, "verify": "{}"})

    assert found()["held publish:feed:a"].tried == "It was tried once; the provider was asked 3 times, without proof."


def test_ten_thousand_held_keys_are_one_condition(redis: Redis) -> None:
    with redis.pipeline() as pipe:
        for n in range(10_000):
            pipe.hset(Keys(AGENT).held, f"k{n}", "{}")
        pipe.execute()

    assert [each.what for each in found().values()] == ["10000 keys of publisher wait for a person"]


def test_a_cap_is_told_and_a_pause_by_a_person_is_not(redis: Redis) -> None:
    pause.pause(AGENT, "ann", "looking")
    assert found() == {}
    reason = {"at": 1, "by": "cap", "why": "cap 30/day reached with x", "task": "tasks.publisher.publish", "cap": "c"}
    redis.hset(Keys(AGENT).agent_meta, "pause", json.dumps(reason))

    (told,) = found().values()

    assert told.what == "tasks.publisher.publish is paused: cap 30/day reached with x"
    assert told.todo.endswith("resume publisher")


@pytest.mark.parametrize(
    ("lasts_ms", "rule", "is_told"),
    [(3_600_000, "9 tokens/day", True), (-1, "9 tokens/day", False), (3_600_000, "99 tokens/day", False)],
    ids=["used up", "it has room again", "a person raised it"],
)
def test_a_budget_is_told_as_long_as_it_stops_calls(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, lasts_ms: int, rule: str, *, is_told: bool
) -> None:
    now, task = round(1000 * time.time()), "tasks.publisher.publish"
    monkeypatch.setattr(registered()[task], "budgets", (Budget(rule, scope="{destination}"),))
    listed = {"task": task, "rule": "9 tokens/day", "key": "publish:feed:a", "limit": 9, "tokens": 1200}
    listed |= {"since": now - 60_000, "until": now + lasts_ms}
    redis.hset(Keys(AGENT).used_up, Keys(AGENT).budget(task, 86_400_000, "feed"), json.dumps(listed))

    told = found()

    assert list(told) == ([f"budget {task} 9 tokens/day feed"] if is_told else [])
    for each in told.values():
        assert each.what == (
            f"{task} (feed) has used up its budget of 9 tokens/day: 1,200 tokens, the last by publish:feed:a"
        )
        assert "go on by themselves" in each.tried
        assert each.urgent is False


@pytest.mark.parametrize(("rounds", "is_told"), [(1, False), (2, False), (3, True), (9, True)])
def test_a_breaker_is_told_when_it_opened_three_times_in_a_row(redis: Redis, rounds: int, *, is_told: bool) -> None:
    now, cooldown = round(1000 * time.time()), 300_000
    name = Keys(AGENT).breaker("tasks.publisher.publish", "mastodon")
    record = {"since": now - (rounds - 1) * cooldown, "until": now + cooldown, "cooldown_ms": cooldown, "failures": 5}
    redis.hset(Keys(AGENT).breakers, name, json.dumps(record))

    told = found()

    assert list(told) == (["breaker tasks.publisher.publish mastodon"] if is_told else [])


def test_closed_effects_are_one_condition_for_all_agents(redis: Redis) -> None:
    redis.hset(Keys(AGENT).ledger, mapping={"epoch": "1", "closed": "Redis lost its data"})

    assert "Redis lost its data" in found()["effects"].what


def test_an_alert_stays_in_the_outbox_until_its_calls_are_registered(redis: Redis) -> None:
    put(redis, "publish:feed:a")

    (first,) = look(redis)
    assert look(redis) == [first]
    assert incidents.alert(first)

    watch.handed_over(incident_log.read().outbox)
    assert look(redis) == []
    (incident,) = incident_log.current()
    assert [alert.channels for alert in incident.alerts] == [("1-json", "2-json")]
    assert set(incident.alerts[0].states.values()) == {"queued"}


def test_one_process_looks_at_a_time(redis: Redis) -> None:
    put(redis, "publish:feed:a")
    redis.delete(incidents.turn_key())

    looks = [Watch().look() for _ in range(3)]

    assert [len(each) for each in looks] == [1, 0, 0]


def test_a_look_without_news_leaves_nothing_in_an_event_stream(redis: Redis) -> None:
    for _ in range(5):
        look(redis)

    assert redis.exists(Keys("monitor").events) == 0
    assert redis.exists(Keys(AGENT).events) == 0


def test_what_ended_is_in_the_log_with_its_end(redis: Redis) -> None:
    put(redis, "publish:feed:a")
    look(redis)
    redis.delete(Keys(AGENT).held)
    look(redis)

    (past,) = incident_log.past()

    assert past.until is not None
    assert [alert.what for alert in past.alerts] == ["begin", "end"]
    assert incident_log.current() == []


def test_the_person_who_looked_last_is_known(redis: Redis) -> None:
    assert attention.last_looked() is None
    attention.looked("ann")
    attention.looked("bob")
    redis.zadd(attention.key(), {"ann": 1})

    newest = attention.last_looked()

    assert newest is not None
    assert newest.by == "bob"
    assert datetime.now(UTC) - newest.at < timedelta(minutes=1)
