"""The signs of life of hosts, as they are written and read with a real server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

import settings
from state import host
from state.processes import host_signs, hosts, liveness
from state.processes.host_signs import HostSigns
from tests.harness import Valkey


@pytest.fixture
def redis(valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """A server, and a STATE_DIR of the test's own."""
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    settings.current.cache_clear()
    yield valkey.client()
    monkeypatch.undo()
    settings.current.cache_clear()


def report(signs: HostSigns) -> None:
    """One report of a worker, as its pulse makes it."""
    signs.compare_clock(0, liveness.report(liveness.ThisProcess(signs.kind, "1.0"), of_host=signs.due()))


def test_each_kind_of_process_adds_its_part_to_the_sign_of_its_host(redis: Redis) -> None:
    report(HostSigns("worker", "1.0", lambda: ["writer", "publisher"]))
    report(HostSigns("beat", "1.1"))
    HostSigns("web", "1.0").report()

    [here] = hosts.read()

    assert (here.name, here.state, here.versions) == (host.this_host(), "alive", ("1.0", "1.1"))
    assert here.agents == ("publisher", "writer")
    assert sorted(each.kind for each in here.processes) == ["beat", "worker"]
    assert here.web_runs


def test_a_sign_goes_along_every_ten_seconds_and_once_more_when_the_clock_was_compared(redis: Redis) -> None:
    signs = HostSigns("worker", "1.0")

    told = []
    for _ in range(4):
        told.append(signs.due())
        signs.compare_clock(0, 0)

    assert [bool(text) for text in told] == [True, True, False, False]
    assert ["clock_ms" in json.loads(text) for text in told[:2]] == [False, True]


def test_a_host_is_stopped_once_each_of_its_processes_was_asked_to(redis: Redis) -> None:
    report(HostSigns("worker", "1.0"))
    report(HostSigns("beat", "1.0"))
    liveness.report(liveness.ThisProcess("worker", "1.0"), stopped=True)
    assert hosts.read()[0].state == "alive"

    liveness.report(liveness.ThisProcess("beat", "1.0"), stopped=True)

    assert hosts.read()[0].state == "stopped"


def test_a_host_of_an_earlier_version_is_known_by_its_claims_and_by_its_machines_processes(redis: Redis) -> None:
    record = {
        "kind": "worker",
        "host": "vm.example.org",
        "pid": 7,
        "born": 1.0,
        "version": "0.9",
        "since_ms": 1,
        "seen_ms": 5,
    }
    redis.hset(liveness.key(), "worker@vm.example.org:7", json.dumps(record))

    [found] = hosts.read({"vm"})

    assert (found.name, found.mark, found.seen_ms, found.state) == ("vm", "vm", 5, "silent")


def test_a_host_that_is_silent_for_a_week_is_forgotten_when_another_one_begins(redis: Redis) -> None:
    redis.hset(host_signs.key(), "abcdef", json.dumps({"name": "old.abcdef", "boot": "", "seen_ms": 5, "kinds": {}}))

    HostSigns("web", "1.0").report()

    assert redis.hkeys(host_signs.key()) == [host.mark()]


def test_without_a_place_for_its_name_a_process_reports_itself_and_no_host(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIR", f"/proc/{os.getpid()}/nowhere")
    settings.current.cache_clear()

    report(HostSigns("worker", "1.0"))

    assert len(liveness.current().of("worker")) == 1
    assert hosts.read() == []
