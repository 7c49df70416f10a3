"""What two looks make of an incident, and that no look holds up another."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from tasks.monitor import checks, incidents
from tasks.monitor.checks import Check, CheckResult, Observation, run_all
from tasks.monitor.incidents import FailingCheck
from tests.harness import within

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EARLIER = datetime(2026, 11, 22, 10, tzinfo=UTC)


def good(name: str = "disk") -> CheckResult:
    return CheckResult(name=name, ok=True, value="fine")


def bad(name: str = "disk") -> CheckResult:
    return CheckResult(name=name, ok=False, value="97 % used", limit="90 %", why="little is left")


def standing(*names: str) -> dict[str, FailingCheck]:
    return {name: FailingCheck(name=name, since=EARLIER) for name in names}


def test_nothing_is_in_doubt_while_all_is_as_it_was() -> None:
    assert incidents.unconfirmed({}, [good()]) == set()
    assert incidents.unconfirmed(standing("disk"), [bad()]) == set()


def test_an_incident_begins_when_two_looks_agree() -> None:
    change = incidents.confirm({}, [bad()], [bad()], NOW)

    assert change.began == [bad()]
    assert change.standing["disk"].since == NOW
    assert change.standing["disk"].why == "little is left"


def test_one_bad_look_is_no_incident() -> None:
    change = incidents.confirm({}, [bad()], [good()], NOW)

    assert (change.began, change.standing) == ([], {})


def test_an_incident_that_goes_on_is_not_told_again() -> None:
    change = incidents.confirm(standing("disk"), [bad()], [], NOW)

    assert (change.began, change.ended) == ([], [])
    assert change.standing == standing("disk")


def test_an_incident_ends_when_two_looks_agree() -> None:
    change = incidents.confirm(standing("disk"), [good()], [good()], NOW)

    assert [(ended.name, ended.since, ended.until) for ended in change.ended] == [("disk", EARLIER, NOW)]
    assert change.standing == {}


def test_one_good_look_does_not_end_an_incident() -> None:
    change = incidents.confirm(standing("disk"), [good()], [bad()], NOW)

    assert change.ended == []
    assert change.standing == standing("disk")
    assert change.began == []


def test_what_is_not_looked_at_any_more_has_ended() -> None:
    change = incidents.confirm(standing("held publish:feed:hello"), [good()], [], NOW)

    assert [ended.name for ended in change.ended] == ["held publish:feed:hello"]


def test_incidents_keep_apart() -> None:
    change = incidents.confirm(standing("a", "b"), [bad("a"), good("b"), bad("c")], [good("b"), bad("c")], NOW)

    assert set(change.standing) == {"a", "c"}
    assert [check.name for check in change.began] == ["c"]
    assert [ended.name for ended in change.ended] == ["b"]


# Looks


def test_a_look_that_raises_fails_alone() -> None:
    def broken() -> Observation:
        raise RuntimeError("no such thing")

    found = run_all([Check("broken", broken), Check("disk", lambda: Observation("fine"))])

    assert [(check.name, check.ok, check.why) for check in found] == [
        ("broken", False, "RuntimeError: no such thing"),
        ("disk", True, None),
    ]


def test_a_look_that_never_comes_back_fails_alone_and_in_time() -> None:
    for_ever = threading.Event()

    def hangs() -> Observation:
        for_ever.wait()
        return Observation("too late")

    with within(2):
        found = run_all([Check("hangs", hangs), Check("disk", lambda: Observation("fine"))], seconds=0.2)
    for_ever.set()

    assert [(check.name, check.ok, check.why) for check in found] == [
        ("hangs", False, "no answer within 0.2 s"),
        ("disk", True, None),
    ]


def test_looks_run_side_by_side() -> None:
    together = threading.Barrier(8)

    def meets() -> Observation:
        together.wait(5)
        return Observation("met")

    assert all(check.ok for check in run_all(Check(str(number), meets) for number in range(8)))


def test_words_are_cut_so_that_a_verdict_fits_a_state_file() -> None:
    (check,) = run_all([Check("long", lambda: Observation("v" * 500, why="w" * 500))])

    assert len(check.value or "") == len(check.why or "") == checks.MAX_LENGTH


@pytest.mark.parametrize("name", ["before", "after"])
def test_doubt_is_about_names_not_about_order(name: str) -> None:
    seen = [bad(name), good("disk")] if name == "before" else [good("disk"), bad(name)]

    assert incidents.unconfirmed({}, seen) == {name}
