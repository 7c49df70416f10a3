"""The tables of the hosts: what turns a row red, and where they are written."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.hosts import page
from tests.hosts.result import HEAD, Limited, Result, text
from tests.torture.verdict import Verdict, judge

ASKED = {"sure:1": "sure", "strike:1": "strike"}


def a_verdict(states: tuple[str | None, str | None], counts: dict[str, int]) -> Verdict:
    return judge(ASKED, dict(zip(ASKED, states, strict=True)), counts, {})


@pytest.mark.parametrize(
    ("states", "counts", "broken"),
    [
        (("done", "unknown"), {"sure:1": 1}, []),
        (("done", "done"), {"sure:1": 2, "strike:1": 1}, ["duplicates"]),
        (("unknown", "done"), {"sure:1": 1, "strike:1": 1}, ["lost"]),
        (("done", "done"), {"sure:1": 1}, ["falsely done"]),
    ],
)
def test_a_row_is_red_where_a_promise_is_broken(
    states: tuple[str, str], counts: dict[str, int], broken: list[str]
) -> None:
    result = Result("cut off", a_verdict(states, counts))

    assert result.is_red is bool(broken)
    assert all(promise in result.why for promise in broken)


def test_a_row_is_red_that_could_not_be_judged() -> None:
    assert Result("cut off").is_red
    assert Result("cut off", a_verdict(("done", "done"), dict.fromkeys(ASKED, 1)), problems=["A is not shown"]).is_red
    assert not Result("clocks", absent="no C compiler").is_red


@pytest.mark.parametrize(
    ("effects", "refused", "is_red"),
    [((3, 0), "rate", False), ((3, 1), "rate", True), ((4, 0), "rate", True), ((3, 0), "", True)],
)
def test_a_limit_is_red_if_more_or_fewer_effects_happened_or_nothing_was_refused(
    effects: tuple[int, int], refused: str, *, is_red: bool
) -> None:
    assert Limited("a rate", 3, (4, 3), effects, refused).is_red is is_red


def test_the_table_counts_what_waits_for_a_person() -> None:
    verdict = Verdict(asked=3, effects=2, ended=Counter({"done": 1, "unknown": 1, "held": 1}))

    assert text(HEAD, [Result("gone", verdict).row]).splitlines()[1].split() == ["gone", "3", "2", "0", "0", "2"]


def test_the_tables_replace_those_of_the_last_run_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "hosts.md"
    file.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    results = [Result("cut off", a_verdict(("done", "done"), dict.fromkeys(ASKED, 1)))]

    page.write(file, results, [Limited("a rate", 3, (4, 3), (3, 0), "rate")], 90)

    written = file.read_text()
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "old" not in written
    assert "| cut off | 2 | 2 | 0 | 0 | 0 |" in written
    assert "| a rate | 3 | 4 | 3 | 3 | 0 | rate |" in written
