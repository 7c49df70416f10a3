"""Deaths of processes: single ones are nothing, many in a few minutes are told, and the file may be anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import settings
from state.processes import deaths
from tasks.monitor.slow_conditions import of_deaths

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    settings.current.cache_clear()
    path = deaths.path()
    path.parent.mkdir(mode=0o700)
    yield path
    settings.current.cache_clear()


def died(file: Path, *minutes_ago: float) -> None:
    times = [(NOW - timedelta(minutes=each)).isoformat() for each in minutes_ago]
    file.write_text(json.dumps({"web": {"times": times, "reason": "signal SIGKILL"}}))


def test_two_deaths_in_a_row_are_not_told(file: Path) -> None:
    died(file, 1, 0.5)

    assert list(of_deaths(NOW)) == []


def test_three_deaths_in_a_row_are_told_with_how_the_process_ended(file: Path) -> None:
    died(file, 3, 2, 1)

    (told,) = of_deaths(NOW)

    assert told.name == "dying web"
    assert told.what == "The process web died 3 times in a few minutes, last: signal SIGKILL"


def test_a_process_that_runs_for_five_minutes_is_well_again(file: Path) -> None:
    died(file, 9, 8, 7)

    assert list(of_deaths(NOW)) == []


def test_a_death_is_added_to_those_of_the_last_minutes_only(file: Path) -> None:
    for _ in range(deaths.MAX_KEPT + 5):
        deaths.record(file, "worker", "exit code 1")

    kept = deaths.read()["worker"]
    assert len(kept.times) == deaths.MAX_KEPT
    assert kept.reason == "exit code 1"
    assert kept.keeps_dying(datetime.now(UTC))


@pytest.mark.parametrize("text", ["", "[]", '{"web": 1}', '{"web": {"times": ["x"], "reason": ""}}'])
def test_a_file_that_cannot_be_read_counts_as_none(file: Path, text: str) -> None:
    file.write_text(text)

    assert deaths.read() == {}
