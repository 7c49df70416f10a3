"""A recovery prepares a batch while Redis writes the one before: what a batch is refused, and what many keys at once leave.

The journal is written as workers write it, of two agents whose keys take turns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from state.errors import StoreError
from state.journal.journal import Journal
from state.recovery import batch_writer, epoch, rebuild
from state.recovery.rebuild import Progress
from state.recovery.recover import RecoveryReport, recover
from state.redis.keys import Keys
from tests.harness import Valkey
from tests.scripts.poster import value_of

AGENTS = ("crier", "scribe")
#: Keys of each agent that are done, in batches of two.
KEYS, BATCH = 6, 2
#: Checkpoints of a key, of which six have more names and values than Lua unpacks, and one has not.
POINTS = 700

Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def redis(valkey: Valkey) -> Redis:
    return valkey.client()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "journal")


def write(journal: Journal, *records: tuple[str, dict[str, Any]]) -> None:
    for event, fields in records:
        journal.append(event, fields, sync=False)


def which(agent: str, number: int) -> dict[str, Any]:
    return {"agent": agent, "key": f"post:{number}", "call": f"{agent}-{number}", "fence": number}


def sent(agent: str, number: int, **more: Any) -> Events:
    asked = {"task": f"{agent}.post", "kwargs": {"number": number}, "fingerprint": "f", "door": "beat"}
    return [
        ("intent", which(agent, number) | {"epoch": "old", "owner": "host-1/1", "payload": "grüße ✓"} | asked | more)
    ]


def done(agent: str, number: int, **more: Any) -> Events:
    end = {"epoch": "old", "outcome": "done", "result": {"result": number, "rung": None}}
    return [("outcome", which(agent, number) | end | more)]


def resolved(agent: str, number: int) -> Events:
    return [("resolved", which(agent, number) | {"how": "applied", "by": "ann", "why": "I saw it"})]


def lives(agent: str) -> Iterator[Events]:
    """Everything that a key that is done may leave in a journal, and two keys that are not done."""
    follower = {"task": "after", "args": [], "kwargs": {}}
    yield sent(agent, 1) + done(agent, 1)
    yield sent(agent, 2, verify="at 2") + done(agent, 2, flaw={"error": "a later step failed"})
    yield sent(agent, 3, options={"then": [follower], "queue": "slow"}) + done(agent, 3)
    yield [
        *sent(agent, 4, options={"then": [follower]}),
        *done(agent, 4),
        ("followed", {"agent": agent, "key": "post:4", "call": f"{agent}-4"}),
    ]
    yield sent(agent, 5, due="2026-11-01T00:00:00Z") + resolved(agent, 5)
    yield [("point", which(agent, 6) | {"name": "step", "value": "1"}), *sent(agent, 6), *done(agent, 6)]
    yield sent(agent, 7)
    yield [*sent(agent, 8), ("held", which(agent, 8) | {"why": "a person has to look"})]


def two_agents(journal: Journal) -> None:
    for agent in AGENTS:
        write(journal, ("epoch", {"agent": agent, "epoch": "old", "fence": 0}))
    for events in chain.from_iterable(zip(*map(lives, AGENTS), strict=True)):
        write(journal, *events)


def only_done(journal: Journal) -> None:
    write(journal, ("epoch", {"agent": "crier", "epoch": "old", "fence": 0}))
    for number in range(1, KEYS + 1):
        write(journal, *sent("crier", number), *done("crier", number))


def no_caps(_task: str, _kwargs: Mapping[str, Any]) -> list[tuple[str, int]]:
    return []


def recovered(redis: Redis, journal: Journal, progress: Progress | None = None) -> RecoveryReport:
    return recover(redis, journal, no_caps, progress or Progress())


def everything(redis: Redis) -> dict[str, str]:
    """Return what Redis holds, without times, epochs and the run of the server."""
    texts = {}
    for name in redis.scan_iter("gate:*"):
        value, expires = value_of(redis, name), redis.pttl(name) > 0
        if redis.type(name) == "zset":
            value = sorted(
                value
            )  # members with different times; those of one millisecond are in the order of their names
        if name in {Keys(agent).ledger for agent in AGENTS}:
            value = {field: text for field, text in value.items() if field not in {"epoch", "run"}}
        texts[name] = re.sub(r"\b1\d{12}\b", "TIME", json.dumps([value, expires], sort_keys=True))
    return texts


def states(redis: Redis) -> list[str | None]:
    return [redis.hget(Keys("crier").key(f"post:{number}"), "state") for number in range(1, KEYS + 1)]


def rebuilds(redis: Redis) -> list[int]:
    """Count, for each key, the events of its history that say that it was rebuilt."""
    return [redis.llen(Keys("crier").history(f"post:{number}")) for number in range(1, KEYS + 1)]


def is_open(redis: Redis, journal: Journal) -> bool:
    return epoch.why_closed(redis, journal, "crier") is None


class At(Progress):
    """Do something when so many keys are handed over; the last of them may be on their way."""

    def __init__(self, moment: int, action: Callable[[], object]) -> None:
        self._moment, self._action = moment, action

    def writes(self, done: int, total: int) -> None:  # noqa: ARG002 - the signature of Progress
        if done == self._moment:
            self._action()


@pytest.mark.parametrize("at_once", [1, 2, batch_writer.KEYS_AT_ONCE])
def test_keys_that_are_written_at_once_are_what_each_alone_would_be(
    redis: Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    two_agents(journal)
    monkeypatch.setattr(batch_writer, "KEYS_AT_ONCE", at_once)
    together = recovered(redis, journal)
    at_once_left = everything(redis)

    redis.flushall()
    for agent in AGENTS:
        redis.zadd(Keys(agent).running, {"another": 1})  # then each key is looked for in the lists
    alone = recovered(redis, journal)
    for agent in AGENTS:
        redis.zrem(Keys(agent).running, "another")

    assert at_once_left == everything(redis)
    assert together.rebuilt == alone.rebuilt == {"done": 12, "unknown": 4}


def test_keys_with_many_checkpoints_are_divided_among_scripts(redis: Redis, journal: Journal) -> None:
    """All of them would be more than Lua unpacks."""
    only_done(journal)
    points = [
        ("point", which("crier", number) | {"name": f"step {step}", "value": "1"})
        for number in range(1, KEYS + 1)
        for step in range(POINTS)
    ]
    write(journal, *points)

    recovered(redis, journal)

    assert {redis.hlen(Keys("crier").key(f"post:{number}")) for number in range(1, KEYS + 1)} == {POINTS + 9}


def test_a_key_that_is_left_stays_as_it_is_and_the_others_come_back(redis: Redis, journal: Journal) -> None:
    only_done(journal)
    recovered(redis, journal)
    redis.delete(*(Keys("crier").key(f"post:{number}") for number in (1, 2, 5)))

    report = recovered(redis, journal)

    assert (report.rebuilt, report.kept) == ({"done": 3}, 3)
    assert rebuilds(redis) == [2, 2, 1, 1, 2, 1]
    assert states(redis) == ["done"] * KEYS


@pytest.mark.parametrize("moment", [2, 4, 6])
def test_a_batch_that_a_full_redis_refuses_leaves_effects_closed(
    redis: Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    only_done(journal)
    monkeypatch.setattr(rebuild, "BATCH_SIZE", BATCH)
    redis.config_set("maxmemory-policy", "noeviction")
    try:
        with pytest.raises(StoreError, match="maxmemory"):
            recovered(redis, journal, At(moment, lambda: redis.config_set("maxmemory", 1)))
    finally:
        redis.config_set("maxmemory", 0)

    assert not is_open(redis, journal)
    recovered(redis, journal)
    assert is_open(redis, journal)
    assert states(redis) == ["done"] * KEYS


@pytest.mark.parametrize("moment", [2, 4, 6])
def test_a_batch_whose_connection_is_lost_is_sent_again_and_written_once(
    redis: Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    only_done(journal)
    monkeypatch.setattr(rebuild, "BATCH_SIZE", BATCH)

    report = recovered(redis, journal, At(moment, lambda: redis.client_kill_filter(_type="normal", skipme=True)))

    assert report.rebuilt.get("done", 0) + report.kept == KEYS
    assert states(redis) == ["done"] * KEYS
    assert rebuilds(redis) == [1] * KEYS
    assert redis.hget(Keys("crier").agent_meta, "revision") == str(KEYS)
    assert is_open(redis, journal)


def test_a_server_that_forgot_the_scripts_gets_them_again(
    redis: Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_done(journal)
    monkeypatch.setattr(rebuild, "BATCH_SIZE", BATCH)

    report = recovered(redis, journal, At(4, redis.script_flush))

    assert report.rebuilt.get("done", 0) + report.kept == KEYS
    assert states(redis) == ["done"] * KEYS


@dataclass
class Watched:
    """Notes when each batch begins and ends, and lets one of them fail."""

    fails: str = ""
    told: list[str] = field(default_factory=list)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        write_batch = batch_writer.BatchWriter._write

        def watched(writer: Any, batch: Any) -> None:
            names = " ".join(key.key for key in batch.keys)
            self.told.append(f"begins {names}")
            if names == self.fails:
                raise StoreError("this batch fails")
            write_batch(writer, batch)
            self.told.append(f"ends {names}")

        monkeypatch.setattr(rebuild, "BATCH_SIZE", BATCH)
        monkeypatch.setattr(batch_writer.BatchWriter, "_write", watched)


def test_batches_are_written_in_order_one_at_a_time(
    redis: Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_done(journal)
    watched = Watched()
    watched.watch(monkeypatch)

    recovered(redis, journal)

    batches = ["post:1 post:2", "post:3 post:4", "post:5 post:6"]
    assert watched.told == [f"{what} {names}" for names in batches for what in ("begins", "ends")]


def test_no_batch_is_sent_after_one_that_failed(
    redis: Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_done(journal)
    watched = Watched(fails="post:3 post:4")

    with monkeypatch.context() as patched:
        watched.watch(patched)
        with pytest.raises(StoreError, match="this batch fails"):
            recovered(redis, journal)

    assert watched.told == ["begins post:1 post:2", "ends post:1 post:2", "begins post:3 post:4"]
    assert not is_open(redis, journal)
    assert recovered(redis, journal).rebuilt == {"done": KEYS - BATCH}
    assert is_open(redis, journal)
