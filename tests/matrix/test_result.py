"""The table of the matrix: what turns a row red, and what its cells say."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.matrix.combination import Combination, every_combination
from tests.matrix.page import page
from tests.matrix.result import HEAD, Result, text
from tests.torture.verdict import Verdict, judge

APART = Combination("RabbitMQ", "Redis", "PostgreSQL")
ONE_SERVER = Combination("Redis", "Redis", "files")


def cells(result: Result) -> dict[str, str]:
    return dict(zip(HEAD, result.row(), strict=True))


def test_every_broker_meets_every_ledger_and_every_journal() -> None:
    assert len(set(every_combination([]))) == 18
    assert {each.broker for each in every_combination([])} == {"Redis", "RabbitMQ", "Sentinel"}


def test_a_server_that_is_broker_and_ledger_is_killed_once() -> None:
    assert ONE_SERVER.faults == ["worker", "broker and ledger"]
    assert APART.faults == ["worker", "broker", "ledger", "database"]


def test_the_time_of_one_server_stands_under_broker_and_ledger() -> None:
    verdict = Verdict(1, 1, Counter(done=1))
    found = cells(Result(ONE_SERVER, verdict, seconds={"worker": 1.0, "broker and ledger": 2.04}))

    assert [found[name] for name in ("worker s", "broker s", "ledger s", "database s")] == ["1.0", "2.0", "2.0", "–"]


@pytest.mark.parametrize(
    ("state", "count", "column"),
    [("done", 2, "twice"), ("done", 0, "lost"), ("claimed", 0, "lost"), (None, 0, "lost")],
)
def test_a_broken_promise_turns_the_row_red(state: str | None, count: int, column: str) -> None:
    counts = {"strike:1": count} if count else {}
    result = Result(APART, judge({"strike:1": "strike"}, {"strike:1": state}, counts, {}))

    assert result.is_red
    assert cells(result)[column] == "1"


@pytest.mark.parametrize("count", [0, 1])
def test_a_key_in_doubt_is_not_lost(count: int) -> None:
    counts = {"strike:1": count} if count else {}
    result = Result(APART, judge({"strike:1": "strike"}, {"strike:1": "unknown"}, counts, {}))

    assert not result.is_red
    assert cells(result)["in doubt"] == "1"


def test_a_combination_whose_server_is_missing_is_named() -> None:
    absent = Result(APART, absent="no RabbitMQ found: install the package rabbitmq-server")

    assert "not run" in text([absent])
    assert f"- {APART.name}: no RabbitMQ found" in page([absent], [], 1)


def test_a_check_that_does_not_hold_turns_the_row_red() -> None:
    assert Result(APART, problems=["a rate is kept: all four ran"]).is_red
