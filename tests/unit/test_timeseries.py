"""What is read from a table, and what rules say about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import settings
from clients.llm import response
from clients.llm.completion_error import UnusableReply
from clients.sources import BrokenSource, Document
from tasks.analyst import analysis, table, timeseries
from tasks.analyst.analysis import Analysis
from tasks.analyst.metrics import AgentMetrics, Metrics, PostMetrics
from tasks.analyst.timeseries import SeriesSummary


def described(*values: float) -> SeriesSummary:
    rows = "\n".join(f"day {number},{value}" for number, value in enumerate(values, 1))
    (found,) = timeseries.summarize(Document("Shop", f"day,visits\n{rows}".encode())).parts
    return found


def an_agent(name: str = "writer", *, held: int = 0, paused: bool = False, **outcomes: int) -> AgentMetrics:
    counts = {"done": 0, "failed": 0, "refused": 0, "unknown": 0, **outcomes}
    total = sum(counts.values())
    return AgentMetrics(agent=name, attempts=total, median_ms=10, held=held, paused=paused, totals={}, **counts)


def some_numbers(*tables: SeriesSummary, agents: tuple[AgentMetrics, ...] = (), out: int = 0) -> Metrics:
    newest: dict[str, Any] = {"newest": "A title", "newest_at": datetime(2026, 11, 20, tzinfo=UTC)} if out else {}
    return Metrics(
        posts=PostMetrics(out=out, week=out, week_before=0, **newest), agents=list(agents), series=list(tables)
    )


def said(numbers: Metrics) -> str:
    found = analysis.by_rules(numbers)
    assert found is not None
    return "\n".join([found.summary, *found.findings])


# Tables


def test_each_column_of_numbers_is_a_series() -> None:
    data = b"# a remark\ndate,visits,who,price\n2026-11-01,3,ada,1.5\n2026-11-02,4,grace,\n"

    found = timeseries.parse(Document("Shop", data)).parts

    assert [(one.name, one.labels, one.values) for one in found] == [
        ("visits", ("2026-11-01", "2026-11-02"), (3.0, 4.0)),
        ("price", ("2026-11-01",), (1.5,)),
    ]


def test_a_json_list_of_objects_is_a_table() -> None:
    (found,) = timeseries.parse(
        Document("Shop", b'[{"date": "a", "n": 1}, {"date": "b", "n": 2.5}, {"date": "c"}]')
    ).parts

    assert (found.labels, found.values) == (("a", "b"), (1.0, 2.5))


@pytest.mark.parametrize(
    "data",
    [b"", b"date\n1", b"date,visits", b"date,visits\n1,many", b"date,visits\n1,nan", b"date,visits\n1,1e400", b"\xff\xfe",
     b"{}", b"[1]", b"[", b'[{"a": "x", "b": true}]', b"[{}]", b"[" * 100_000],
)  # fmt: skip
def test_what_has_no_numbers_is_a_broken_source(data: bytes) -> None:
    with pytest.raises(BrokenSource):
        timeseries.parse(Document("Shop", data))


def test_only_the_newest_rows_are_looked_at() -> None:
    found = described(*range(1, table.MAX_ROWS + 11))

    assert (found.count, found.first) == (table.MAX_ROWS, "day 11")
    assert found.newest[-1] == table.MAX_ROWS + 10
    assert len(found.newest) == timeseries.MAX_VALUES


def test_the_newest_week_is_compared_with_the_one_before() -> None:
    assert described(*[100] * 7, *[110] * 7).change == 10.0
    assert described(*[100] * 7, *[50] * 7).change == -50.0


def test_one_odd_day_is_no_trend_but_unusual() -> None:
    found = described(100, 101, 99, 100, 900, 100, 101, 99, 100, 101, 100, 99, 101, 100)

    assert found.change == 0.0
    assert [(odd.at, odd.value, odd.usual) for odd in found.unusual] == [("day 5", 900, 100)]


def test_a_series_that_never_moves_has_one_odd_value_when_it_does() -> None:
    assert not described(*[5] * 20).unusual
    assert [odd.value for odd in described(*[5] * 20, 9).unusual] == [9]


def test_a_few_values_are_too_few_to_call_one_unusual() -> None:
    assert not described(1, 1, 1, 1, 1, 1, 100).unusual


def test_a_change_from_nothing_has_no_percentage() -> None:
    assert described(0, 0, 5, 5).change is None
    assert described(7).change is None


def test_the_table_that_ships_says_that_it_is_a_sample() -> None:
    path = settings.ROOT / "content" / "sources" / "sample-visits.csv"

    assert path.read_text().startswith("# SAMPLE")
    assert len(timeseries.summarize(Document("Sample visits", path.read_bytes())).parts) == 2


# What the rules say


def test_the_rules_tell_the_level_the_trend_and_what_is_unusual() -> None:
    text = said(some_numbers(described(*[100] * 6, 900, *[120] * 7)))

    assert "Shop, visits: 2,340 in 14 rows, 167.1 on average" in text
    assert "the newest 7 are up 20 % against the 7 before" in text
    assert "Shop, visits: unusually high on day 7: 900, where 120 is usual." in text
    assert "Worth a look: 1 unusual value." in text


def test_the_rules_report_problems_first() -> None:
    agents = (an_agent(done=3, failed=1), an_agent("publisher", done=2, unknown=1, held=2, paused=True))

    found = analysis.by_rules(some_numbers(described(*[1] * 14), agents=agents, out=1))

    assert found is not None
    assert found.summary == (
        "1 post is out, 1 of them from the last week (0 the week before); the newest is “A title”, 20 November. "
        "2 agents made 7 attempts in 7 days, 5 of them done. Worth a look: 4 problems."
    )
    assert found.findings[:4] == [
        "writer failed in 1 of its 4 attempts in 7 days.",
        "publisher is paused.",
        "publisher has 2 keys that wait for a person.",
        "publisher has 1 attempt of unknown outcome in 7 days.",
    ]


def test_the_rules_say_when_all_is_well() -> None:
    assert "Nothing is unusual." in said(some_numbers(agents=(an_agent(done=3),)))


def test_the_rules_know_no_answer_when_there_is_nothing_to_say() -> None:
    assert analysis.by_rules(some_numbers()) is None


# What is taken from a model


@pytest.mark.parametrize(
    "reply",
    [
        '{"summary": "short"}',
        '{"summary": "Everything is described at https://evil.example/ today."}',
        '{"summary": "A summary that is long enough.", "findings": ["[x](//evil.example)"]}',
        '{"summary": "A summary that is long enough.", "findings": [""]}',
        '{"summary": "A summary that is long enough.", "findings": ["' + "x" * 401 + '"]}',
    ],
)
def test_an_answer_with_a_link_or_without_a_sensible_length_is_not_taken(reply: str) -> None:
    with pytest.raises(UnusableReply):
        response.read(reply, analysis.question(some_numbers()).schema)


def test_figures_that_the_numbers_do_not_have_are_named() -> None:
    numbers = some_numbers(described(*[100] * 7, *[1204] * 7))
    honest = Analysis(summary="14 rows, up 1,104.0 %, from 100 to 1,204.")
    inventive = Analysis(summary="Visits rose.", findings=["A total of 5,000, which is 73 % more."])

    assert analysis.unsupported_figures(honest, numbers) == []
    assert analysis.unsupported_figures(inventive, numbers) == ["5,000", "73"]
