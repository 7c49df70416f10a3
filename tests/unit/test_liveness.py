"""Which processes are silent follows from their records alone, in any order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from redis import Redis

from state.processes import liveness
from state.processes.backlog import Backlog
from state.processes.liveness import KEEP_MS, MAX_PROCESSES, REPORTED_MS, SILENT_MS, ProcessRecord, ThisProcess, assess
from tests.harness import Valkey

NOW = 1_800_000_000_000
LONG_AGO = NOW - 3600_000
JUST_NOW = NOW - 1000
SILENT = NOW - SILENT_MS - 1
BEAT = ProcessRecord("beat", "far", 9, 1.0, "1", LONG_AGO, JUST_NOW)


def worker(pid: int = 1, seen: int = JUST_NOW, since: int = LONG_AGO, host: str = "far", **more: Any) -> ProcessRecord:
    return ProcessRecord("worker", host, pid, 1.0, "1", since, seen, **more)


def told(*found: ProcessRecord) -> list[tuple[str, int, int | None]]:
    return [(silence.kind, silence.pid, silence.since_ms) for silence in assess([*found, BEAT], NOW).silent]


def test_a_process_that_signed_just_now_is_alive() -> None:
    standing = assess([worker(), BEAT], NOW)

    assert standing.silent == []
    assert [sign.pid for sign in standing.of("worker")] == [1]
    assert standing.can_run()


def test_a_process_that_gave_no_sign_for_a_while_is_silent_since_its_last() -> None:
    standing = assess([worker(seen=SILENT), BEAT], NOW)

    assert told(worker(seen=SILENT)) == [("worker", 1, SILENT)]
    assert "worker 1 on far: silent since 2027-01-15T07:59:39Z" in str(standing.silent[0])
    assert not standing.can_run()


def test_one_that_was_asked_to_stop_is_not_silent_but_that_none_runs_is_told() -> None:
    assert told(worker(1, SILENT, stopped=True), worker(2)) == []
    assert told(worker(1, SILENT, stopped=True)) == [("worker", 0, SILENT)]
    assert told(worker(1, JUST_NOW, stopped=True)) == [("worker", 0, JUST_NOW)]


def test_that_none_has_ever_run_is_told() -> None:
    assert [(each.kind, each.since_ms, each.since) for each in assess([], NOW).silent] == [
        ("worker", None, "ever"),
        ("beat", None, "ever"),
    ]


def test_one_that_died_and_was_replaced_on_its_machine_is_not_missed() -> None:
    died = worker(1, SILENT)

    assert told(died, worker(2, since=SILENT + 500)) == []
    assert told(died, worker(2, since=LONG_AGO)) == [("worker", 1, SILENT)], "this one ran beside it"
    assert told(died, worker(2, since=SILENT + 500, host="farther")) == [("worker", 1, SILENT)]


def test_one_that_died_a_day_ago_is_no_longer_told_where_others_run() -> None:
    assert told(worker(1, NOW - REPORTED_MS), worker(2)) == []
    assert told(worker(1, NOW - REPORTED_MS)) == [("worker", 1, NOW - REPORTED_MS)]


def test_one_that_is_there_and_silent_is_told_whoever_runs_beside_it() -> None:
    host, pid = os.uname().nodename, os.getpid()
    born = psutil.Process().create_time()
    frozen = ProcessRecord("worker", host, pid, born, "1", LONG_AGO, SILENT)
    reused = ProcessRecord("worker", host, pid, born - 3600, "1", LONG_AGO, SILENT)
    fresh = worker(2, since=SILENT + 500, host=host)

    assert told(frozen, fresh) == [("worker", os.getpid(), SILENT)]
    assert "its process is there: it is stopped or stuck" in assess([frozen, BEAT], NOW).silent[0].why
    assert told(reused, fresh) == []
    assert "its process is gone" in assess([reused, BEAT], NOW).silent[0].why


def test_a_worker_whose_sweeps_fail_is_told_although_it_lives() -> None:
    assert told(worker(swept_ms=SILENT)) == [("sweeper", 1, SILENT)]
    assert told(worker(swept_ms=JUST_NOW)) == []


# How long records are kept


@pytest.fixture
def redis(valkey: Valkey) -> Iterator[Redis]:
    client = valkey.client()
    yield client
    client.close()


def test_a_sign_is_read_as_it_was_given_by_the_clock_of_the_server(redis: Redis) -> None:
    me = ThisProcess("worker", "1.0")

    liveness.report(me, swept_ago_ms=500)
    first = liveness.current()
    liveness.report(me)
    second = liveness.current()

    [sign] = first.of("worker")
    assert (sign.host, sign.pid, sign.version, sign.stopped) == (me.host, me.pid, "1.0", False)
    assert sign.since_ms == sign.seen_ms <= first.now_ms
    assert sign.swept_ms == sign.seen_ms - 500
    assert second.of("worker")[0].since_ms == sign.since_ms, "it is the same process"


def test_a_process_that_took_the_place_of_another_began_when_it_signed_first(redis: Redis) -> None:
    liveness.report(ThisProcess("worker", "1", token="a"))
    [before] = liveness.current().of("worker")

    liveness.report(ThisProcess("worker", "1", token="b"))

    [after] = liveness.current().of("worker")
    assert after.since_ms >= before.seen_ms
    assert len(redis.hkeys(liveness.key())) == 1


def test_the_last_sign_of_one_that_stops_makes_it_stopped(redis: Redis) -> None:
    me = ThisProcess("beat", "1")
    liveness.report(me)

    liveness.report(me, stopped=True)

    [silence] = [each for each in liveness.current().silent if each.kind == "beat"]
    assert silence.why.startswith("none runs; the last was stopped at ")


def test_old_signs_are_forgotten_and_never_more_kept_than_a_few_hundred(redis: Redis, monkeypatch: Any) -> None:
    for pid in range(MAX_PROCESSES + 5):
        liveness.report(ThisProcess("worker", "1", pid=pid))
    assert redis.hlen(liveness.key()) == MAX_PROCESSES

    monkeypatch.setattr(liveness, "KEEP_MS", 0)
    redis.ping()
    liveness.report(ThisProcess("worker", "1", pid=MAX_PROCESSES + 6))

    assert redis.hlen(liveness.key()) < MAX_PROCESSES
    assert KEEP_MS > REPORTED_MS


# Queues from which no worker takes messages


def deserted(*queues: str | None, waits: str = "slowq", since: int = LONG_AGO) -> list[str]:
    standing = assess([*(worker(pid, queues=text) for pid, text in enumerate(queues, 1)), BEAT], NOW)
    return [str(each) for each in liveness.unserved_queues([Backlog(waits, 2, since)], standing)]


def test_a_queue_in_which_calls_wait_and_from_which_no_worker_takes_is_told() -> None:
    assert deserted('[""]', '["otherq"]') == [
        "queue: no worker takes messages from the queue 'slowq', and 2 calls wait there since 2027-01-15T07:00:00Z"
    ]
    assert "the default queue" in deserted("[]", waits="")[0]


def test_a_queue_that_a_worker_takes_from_is_not_told_however_long_its_backlog() -> None:
    assert deserted('[""]', '["", "slowq"]') == []
    assert deserted('[""]', waits="") == []


def test_that_a_queue_is_deserted_is_told_neither_at_once_nor_of_workers_that_do_not_say() -> None:
    assert deserted('[""]', since=JUST_NOW) == []
    assert deserted('[""]', None) == []
    assert deserted() == []
