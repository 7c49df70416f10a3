"""How a host is, and what is wrong with several of them, follows from their signs and from what persons said."""

from __future__ import annotations

from typing import Any

import pytest

from state.processes.hosts import SILENT_HOST_MS, Gone, Host, KindSign
from state.processes.liveness import REPORTED_MS, ProcessRecord
from workers.readings import hosts as readings
from workers.readings.hosts import HostReading

NOW = 1_800_000_000_000
JUST_NOW, LONG_AGO = NOW - 3000, NOW - SILENT_HOST_MS - 1
WORKER = ProcessRecord("worker", "far", 7, 1.0, "1.0", LONG_AGO, JUST_NOW, mark="aaaaaa")


def host(name: str = "web2.aaaaaa", seen: int | None = JUST_NOW, version: str = "1.0", **more: Any) -> Host:
    """A host that runs a worker."""
    kinds = {} if seen is None else {"worker": KindSign(seen, version, more.pop("clock_ms", 2), ("publisher",))}
    return Host(name.rpartition(".")[2], name, NOW, seen, kinds=kinds, **more)


def reading(found: Host, doubts: int = 0) -> HostReading:
    return HostReading(found, is_here=False, claims=0, doubts=doubts)


def gone(at: int) -> Gone:
    return Gone("web2.aaaaaa", at, "ada", "command", "it burned down")


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (host(), "alive"),
        (host(seen=LONG_AGO), "silent"),
        (host(seen=None), "silent"),
        (host(was_stopped=True), "stopped"),
        (host(seen=LONG_AGO, was_stopped=True), "stopped"),
        (host(seen=LONG_AGO, gone=gone(NOW)), "gone"),
        (host(seen=None, gone=gone(NOW)), "gone"),
        (host(seen=JUST_NOW, gone=gone(LONG_AGO)), "alive"),
    ],
)
def test_the_word_for_a_host(found: Host, state: str) -> None:
    assert found.state == state


def test_only_a_sign_after_the_decision_means_that_it_is_back() -> None:
    assert host(gone=gone(LONG_AGO)).is_back
    assert not host(seen=LONG_AGO, gone=gone(NOW)).is_back
    assert not host().is_back


def test_what_ran_before_an_upgrade_is_not_told_as_running() -> None:
    kinds = {"worker": KindSign(JUST_NOW, "2.0", 5), "web": KindSign(LONG_AGO - SILENT_HOST_MS, "1.0", 900)}
    found = Host("aaaaaa", "web2.aaaaaa", NOW, JUST_NOW, kinds=kinds)

    assert (found.versions, found.clock_ms, found.web_runs) == (("2.0",), 5, False)


def test_a_reading_in_words() -> None:
    found = HostReading(host(processes=(WORKER, WORKER), gone=gone(LONG_AGO)), is_here=False, claims=2, doubts=1)

    assert (found.processes, found.clock, found.holds) == ("2 workers", "+0.00 s", "2 keys, 1 in doubt")
    assert found.decision == "gone, ada said at 2027-01-15T07:58:59Z: it burned down; it is back"


def test_nothing_is_wrong_with_hosts_that_agree() -> None:
    known = [
        host(),
        host("web3.bbbbbb"),
        host("web4.cccccc", LONG_AGO, gone=gone(NOW)),
        host("web5.dddddd", was_stopped=True),
    ]

    assert list(readings.problems([reading(each) for each in known])) == []


def test_a_host_that_is_silent_for_long_is_told_as_long_as_it_holds_a_key() -> None:
    yesterday = host(seen=NOW - REPORTED_MS)

    assert list(readings.problems([reading(yesterday)])) == []
    assert len(list(readings.problems([reading(yesterday, doubts=1)]))) == 1


@pytest.mark.parametrize(
    ("known", "found", "change"),
    [
        ([host(seen=LONG_AGO)], "web2.aaaaaa: silent since 2027-01-15T07:58:59Z", "host-gone web2.aaaaaa --why"),
        ([host(clock_ms=-1500)], "web2.aaaaaa: its clock is -1.50 s against Redis", "chrony"),
        (
            [host(), host("web3.bbbbbb", version="2.0")],
            "versions differ: web2.aaaaaa runs 1.0; web3.bbbbbb runs 2.0",
            "end the upgrade",
        ),
    ],
)
def test_what_is_wrong_is_told_with_what_to_change(known: list[Host], found: str, change: str) -> None:
    [(what, how)] = readings.problems([reading(each) for each in known])

    assert what == found
    assert change in how
