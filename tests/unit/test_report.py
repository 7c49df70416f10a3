"""The numbers of a report are those of the events; its pages load nothing, run nothing and escape everything."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from lxml import html

from clients.text.words import counted, listed
from state.agents.events import PastAttempt
from tasks.reporter import charts, daily_report, stats
from tasks.reporter.archive import ReportArchive
from tasks.reporter.collect import AgentData, Desk, PublishedPost
from tasks.reporter.daily_report import DailyReport
from tasks.writer.draft_list import WaitingDraft

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 6, 30, tzinfo=BERLIN)
EVIL = "</text></svg><script>alert(1)</script>\"'&|`*"


def attempt(
    at: datetime, outcome: str = "done", ms: int = 10, stage: str = "", agent: str = "clerk", error: str = ""
) -> PastAttempt:
    when = round(at.timestamp() * 1000)
    return PastAttempt(when, agent, f"tasks.{agent}.work", "k", outcome, ms, 1, stage, error)


def raw(agent: str = "clerk", past: list[PastAttempt] | None = None, posts: Any = (), **more: Any) -> AgentData:
    head: dict[str, Any] = {"held": [], "held_total": 0, "pause": None, "last_run": None, "errors": [], "metrics": {}}
    facts = more.pop("facts", {})
    return AgentData(agent, head | more, facts, past or [], list(posts))


def post(
    title: str = "Hello", ago: timedelta = timedelta(hours=1), url: str = "http://127.0.0.1/posts/a.html"
) -> PublishedPost:
    return PublishedPost(title, "feed", url, NOW - ago)


#: Two days: yesterday a good run, a failure and two refusals; today, a second after midnight in Berlin, two runs.
YESTERDAY, MIDNIGHT = datetime(2026, 11, 21, 23, 59, 59, tzinfo=BERLIN), datetime(2026, 11, 22, 0, 0, 1, tzinfo=BERLIN)
PAST = [
    attempt(YESTERDAY, ms=30),
    attempt(YESTERDAY, "failed", ms=200),
    attempt(YESTERDAY, "refused", ms=0, stage="rate"),
    attempt(YESTERDAY, "refused", ms=0, stage="paused"),
    attempt(MIDNIGHT, ms=10),
    attempt(MIDNIGHT, "unknown", ms=20),
    attempt(MIDNIGHT, "refused", ms=0, stage="rate"),
]


@pytest.fixture
def report() -> DailyReport:
    return daily_report.build([raw(past=PAST), raw("monitor", [attempt(MIDNIGHT, ms=5, agent="monitor")])], NOW)


# Numbers


def test_a_tally_counts_each_outcome_once() -> None:
    found = stats.count(PAST)

    assert (found.runs, found.done, found.failed, found.unknown, found.refused) == (4, 2, 1, 1, 3)
    assert (found.troubled, found.share) == (2, "50 %")


def test_durations_are_those_of_runs_and_not_of_refusals() -> None:
    found = stats.count(PAST)

    assert (found.typical_ms, found.slow_ms) == (20, 200)
    assert stats.count([attempt(NOW, "refused", ms=0)]).typical_ms is None


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (95, 95), (100, 100), (1, 1)])
def test_a_percentile_is_one_of_the_values(percent: int, expected: int) -> None:
    assert stats.percentile(range(1, 101), percent) == expected
    assert stats.percentile([7], percent) == 7


def test_one_failure_in_a_million_is_never_rounded_away() -> None:
    assert stats.OutcomeCounts(done=999_999, failed=1).share == "99.9 %"
    assert stats.OutcomeCounts(done=3).share == "100 %"
    assert stats.OutcomeCounts().share == charts.DASH


def test_days_are_those_of_the_time_zone_of_the_schedule(report: DailyReport) -> None:
    assert [day.day for day in report.days] == [16, 17, 18, 19, 20, 21, 22]
    assert [day.runs for day in report.per_day] == [0, 0, 0, 0, 0, 2, 3]
    assert [day.refused for day in report.per_day] == [0, 0, 0, 0, 0, 2, 1]
    assert stats.beginning(NOW) == datetime(2026, 11, 16, tzinfo=BERLIN)


def test_the_days_add_up_to_the_week_and_the_agents_to_the_whole(report: DailyReport) -> None:
    assert sum(day.runs for day in report.per_day) == report.week.runs == 5
    assert sum(agent.week.runs for agent in report.agents) == report.week.runs
    for agent in report.agents:
        assert sum(day.runs for day in agent.per_day) == agent.week.runs
        assert sum(day.refused for day in agent.per_day) == agent.week.refused


def test_refusals_are_told_by_stage_and_day(report: DailyReport) -> None:
    assert [(stage.name, stage.per_day, stage.total) for stage in report.stages] == [
        ("rate", [0, 0, 0, 0, 0, 1, 1], 2),
        ("paused", [0, 0, 0, 0, 0, 1, 0], 1),
    ]
    assert [stage.name for stage in report.agents[1].stages] == []


def test_a_refusal_without_a_stage_came_from_the_task() -> None:
    (stage,) = daily_report.build([raw(past=[attempt(NOW, "refused")])], NOW).stages

    assert stage.name == "task"


def test_the_day_on_which_the_clock_is_set_back_has_its_events_once() -> None:
    before, again = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    autumn = daily_report.build(
        [raw(past=[attempt(before), attempt(again)])], datetime(2026, 10, 25, 12, tzinfo=BERLIN)
    )

    assert [day.runs for day in autumn.per_day] == [0, 0, 0, 0, 0, 0, 2]


# Sentences


def test_a_quiet_day_begins_with_all_is_well() -> None:
    quiet = daily_report.build([raw(past=[attempt(NOW)], posts=[post()])], NOW)

    assert quiet.verdict == "All is well."
    assert quiet.lead == "In the last 24 hours: one run and one new post."


def test_failures_are_not_all_is_well(report: DailyReport) -> None:
    assert report.verdict == "Nothing waits for you."
    assert report.lead == "In the last 24 hours: five runs, two failures, three refusals and no new posts."


ERROR = {"at": "2026-11-22T03:00:00Z", "task": "tasks.clerk.work", "key": "k", "call": "c", "error": "no such setting"}


@pytest.mark.parametrize(
    ("past", "errors", "share", "lead"),
    [
        ([attempt(NOW)] * 10 + [attempt(NOW, "refused", stage="task", error="no such setting")] * 10, [], "50 %",
         "ten runs, ten refusals, ten errors without a run and no new posts"),
        ([attempt(NOW)] * 10, [ERROR] * 10, "50 %", "ten runs, ten errors without a run and no new posts"),
        ([attempt(NOW, error="flaw")] * 10, [ERROR] * 10, "0 %", "ten runs, ten runs with a flaw and no new posts"),
        ([attempt(NOW, "failed", error="x")] * 10 + [attempt(NOW)], [ERROR] * 10, "9 %",
         "eleven runs, ten failures and no new posts"),
        ([attempt(NOW, "refused", stage="rate")] * 10 + [attempt(NOW)], [], "100 %",
         "one run, ten refusals and no new posts"),
        ([attempt(NOW)], [ERROR | {"at": "2026-11-01T03:00:00Z"}] * 10, "100 %", "one run and no new posts"),
    ],
)  # fmt: skip
def test_a_day_of_errors_does_not_look_well_whatever_kind_they_are(
    past: list[PastAttempt], errors: list[dict[str, str]], share: str, lead: str
) -> None:
    found = daily_report.build([raw(past=past, errors=errors)], NOW)

    assert (found.week.share, found.agents[0].week.share) == (share, share)
    assert found.lead == f"In the last 24 hours: {lead}."
    assert (found.verdict == "All is well.") == (share == "100 %")


def test_only_the_last_24_hours_are_in_the_lead() -> None:
    old = daily_report.build(
        [raw(past=[attempt(NOW - timedelta(hours=25))], posts=[post(ago=timedelta(hours=25))])], NOW
    )

    assert old.lead == "In the last 24 hours: no runs and no new posts."
    assert old.week.runs == len(old.posts) == 1


INCIDENT = {"name": "disk", "since": "2026-11-22T03:00:00Z", "why": "little is left"}
HELD = {"key": "publish:feed:a", "state": "unknown", "since": "2026-11-22T03:00:00Z", "why": "read timed out"}
PAUSE = {"at": "2026-11-22T03:00:00Z", "by": "ada", "why": "looking"}


def waiting() -> DailyReport:
    told = {"disk": INCIDENT, "held publish:feed:a": {**INCIDENT, "name": "held publish:feed:a"}}
    past = {
        "x": {**INCIDENT, "name": "load", "until": "2026-11-22T04:00:00Z"},
        "y": {**INCIDENT, "name": "old", "since": "2026-10-01T04:00:00Z", "until": "2026-10-02T04:00:00Z"},
    }
    monitor = raw("monitor", facts={"incidents": told, "past_incidents": past})
    return daily_report.build([monitor, raw(held=[HELD], held_total=1, pause=PAUSE)], NOW)


def test_what_waits_for_a_person_comes_first_and_once() -> None:
    assert waiting().verdict == "One key is held, clerk is paused and one incident stands."


def test_drafts_messages_and_broken_posts_wait_for_a_person(shelf: ReportArchive) -> None:
    drafts = [
        WaitingDraft("digest-1", "content/drafts/digest-1.md", "waiting", "A secret title", "rules"),
        WaitingDraft("odd", "content/drafts/odd.md", "broken", why="title: quote it"),
    ]
    desk = Desk(drafts, {"mailbox/chat": 3}, {"bad.md": "no title"})
    found = daily_report.build([raw(past=[attempt(NOW)])], NOW, desk)

    assert found.verdict == "Two drafts wait, three messages wait for an answer and one post is broken."
    lines = page(shelf, shelf.put(found)).xpath("//section[@class='waiting']//li")
    told = [" ".join(line.text_content().split()) for line in lines]
    assert told[0].startswith("digest-1 is a draft by rules")
    assert told[0].endswith("gatehouse draft approve digest-1")
    assert told[1].startswith("odd is a draft that cannot be used: title: quote it")
    assert told[2].startswith("mailbox/chat has three messages that no model answered")
    assert told[3] == "bad.md is not published: no title"
    text = (shelf.folder / "2026-11-22.md").read_text()
    assert "- **digest-1** is a draft\n- **odd** is a draft that cannot be used" in text
    assert "\n\n\n" not in text
    assert "secret title" not in text  # nobody has approved it, and reports are public


def test_what_is_over_does_not_wait_but_is_told() -> None:
    over = {"disk": {**INCIDENT, "until": "2026-11-22T05:00:00Z"}}
    found = daily_report.build([raw("monitor", [attempt(NOW)], facts={"incidents": over})], NOW)

    assert (found.waiting, [each.name for each in found.incidents]) == ([], ["disk"])
    assert found.verdict == "All is well."


def test_a_key_that_is_held_and_its_incident_are_one_row(shelf: ReportArchive) -> None:
    shelf.put(waiting())

    names = page(shelf, "2026-11-22").xpath("//section[@class='waiting']//li/strong/text()")
    assert names == ["disk", "clerk", "publish:feed:a"]


def test_incidents_are_those_that_stand_and_those_that_ended_in_these_days() -> None:
    assert [incident.name for incident in waiting().incidents] == ["disk", "held publish:feed:a", "load"]
    assert [incident.name for incident in waiting().standing] == ["disk", "held publish:feed:a"]


def test_what_another_agent_calls_incidents_is_passed_over() -> None:
    odd = daily_report.build([raw(facts={"incidents": ["a"], "past_incidents": 7})], NOW)

    assert odd.incidents == []


def test_tokens_and_rungs_are_told_if_there_are_any() -> None:
    facts = {"analysis": {"rung": "rules", "by": "rules"}, "other": {"rung": 7}, "plain": "rung"}
    (agent,) = daily_report.build([raw(metrics={"tokens_groq": 12345, "total_done": 3}, facts=facts)], NOW).agents

    assert agent.models == {"tokens_groq": "12,345", "analysis": "made by rules (rules)"}


def test_a_stream_that_was_cut_is_told_with_the_first_whole_day() -> None:
    busy = [attempt(YESTERDAY + timedelta(milliseconds=n)) for n in range(daily_report.MAX_EVENTS)]
    (agent,) = daily_report.build([raw(past=busy)], NOW).agents

    assert str(agent.cut) == "2026-11-22"
    assert daily_report.build([raw(past=busy[1:])], NOW).agents[0].cut is None


def test_numbers_and_lists_are_written_as_people_write_them() -> None:
    assert [counted(number, "key", "keys") for number in (0, 1, 2, 12, 13, 1200)] == [
        "no keys",
        "one key",
        "two keys",
        "twelve keys",
        "13 keys",
        "1,200 keys",
    ]
    assert [listed(parts) for parts in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


# Charts


def test_the_highest_column_fills_the_chart_and_no_piece_is_too_thin_to_see() -> None:
    chart = charts.stacked([("a", {"done": 1000, "failed": 1}), ("b", {"done": 500, "failed": 0}), ("c", {})], 100)

    high, half, none = chart
    done, failed = high.pieces
    assert failed.y == pytest.approx(charts.GAP, abs=1)
    assert failed.height >= charts.MIN_HEIGHT
    assert done.y + done.height == 100
    assert done.height == pytest.approx(2 * half.pieces[0].height, abs=2 * charts.MIN_HEIGHT)
    assert none.pieces == []
    assert (high.total, half.total, none.total) == (1001, 500, 0)


def test_columns_share_the_width() -> None:
    chart = charts.stacked([(str(day), {"done": day}) for day in range(7)], 100)

    assert all(0 < column.x < column.x + column.width < 100 for column in chart)
    assert [round(column.middle / 100 * 7 - 0.5) for column in chart] == list(range(7))


def test_a_week_without_anything_is_an_empty_chart() -> None:
    assert all(column.pieces == [] for column in charts.stacked([("a", {"done": 0})] * 7, 100))


@pytest.mark.parametrize(("slowest", "whole"), [(0, 1000), (999, 1000), (1001, 10_000), (120_000, 1_000_000)])
def test_the_scale_of_durations_ends_at_a_power_of_ten_that_holds_all(slowest: int, whole: int) -> None:
    assert charts.scale(slowest) == whole
    assert charts.place(1, whole) == 0
    assert charts.place(whole, whole) == 100
    assert 0 <= charts.place(slowest, whole) <= 100
    assert charts.ticks(whole)[0] == (0, "1 ms")


@pytest.mark.parametrize(
    ("ms", "words"), [(None, charts.DASH), (0, "0 ms"), (999, "999 ms"), (1500, "1.5 s"), (120_000, "2 min")]
)
def test_durations_read_as_people_say_them(ms: int | None, words: str) -> None:
    assert charts.duration(ms) == words


# Pages


@pytest.fixture
def shelf(tmp_path: Path) -> ReportArchive:
    tmp_path.joinpath("public").mkdir()
    return ReportArchive(tmp_path / "public")


def page(shelf: ReportArchive, name: str) -> Any:
    return html.fromstring((shelf.folder / f"{name}.html").read_bytes())


def rows(page: Any, table: str) -> dict[str, list[str]]:
    """First cell, without its small print → the numbers beside it."""
    found = page.xpath(f"//table[@class='{table}']/tbody/tr[th]")
    return {
        row.xpath("string(th/text())"): [cell.text_content().strip() for cell in row.xpath("td[contains(@class, 'n')]")]
        for row in found
    }


def test_the_numbers_on_the_page_are_those_of_the_events(shelf: ReportArchive, report: DailyReport) -> None:
    found = page(shelf, shelf.put(report))

    assert found.xpath("string(//h1)") == report.verdict
    assert found.xpath("//*[@class='figures']/b/text()") == ["5", "60 %", "3"]
    assert rows(found, "agents") == {"clerk": ["4", "2", "3", "·"], "monitor": ["1", "·", "·", "·"]}
    assert rows(found, "durations") == {"clerk": ["20 ms", "200 ms"], "monitor": ["5 ms", "5 ms"]}
    assert rows(found, "refusals")["rate"] == ["·", "·", "·", "·", "·", "1", "1", "2"]
    columns = found.xpath("//svg[@class='columns']//text[@class='number']/text()")
    assert columns == ["4", "4"]
    titles = found.xpath("//svg[@class='columns']//title/text()")
    assert titles[-2:] == ["Sat 21: 1 done, 1 failed, 2 refused", "Sun 22: 2 done, 1 unknown, 1 refused"]


def test_markdown_tells_the_same_numbers(shelf: ReportArchive, report: DailyReport) -> None:
    text = (shelf.folder / f"{shelf.put(report)}.md").read_text()

    assert text.startswith(f"# Report of 22 November 2026\n\n{report.verdict}\n{report.lead}\n")
    assert "| Sat 21 | 1 | 1 | 0 | 2 |" in text
    assert "| Sun 22 | 2 | 0 | 1 | 1 |" in text
    assert "| clerk | 4 | 2 | 1 | 1 | 3 | 0 | 20 ms | 200 ms |" in text
    assert "| rate | 0 | 0 | 0 | 0 | 0 | 1 | 1 | 2 |" in text
    assert "\n\n\n" not in text


def test_the_same_day_again_replaces_its_files_and_another_day_adds_some(
    shelf: ReportArchive, report: DailyReport
) -> None:
    for each in (daily_report.build([], NOW), report, daily_report.build([], NOW - timedelta(days=1))):
        shelf.put(each)

    names = sorted(path.name for path in shelf.folder.iterdir())
    assert names == ["2026-11-21.html", "2026-11-21.md", "2026-11-22.html", "2026-11-22.md", "index.html"]
    assert rows(page(shelf, "2026-11-22"), "agents") != {}
    assert page(shelf, "index").xpath("//h2/a/@href") == ["2026-11-22.html", "2026-11-21.html"]
    assert page(shelf, "index").xpath("string(//article/p)") == f"{report.verdict} {report.lead}"


def test_the_same_events_make_the_same_bytes(shelf: ReportArchive, report: DailyReport) -> None:
    texts = [(shelf.folder / f"{shelf.put(report)}.html").read_bytes() for _ in range(2)]

    assert texts[0] == texts[1]


def test_what_a_killed_reporter_left_is_swept_away(shelf: ReportArchive, report: DailyReport) -> None:
    shelf.folder.mkdir()
    (shelf.folder / ".2026-11-22.html.0123456789abcdef.tmp").write_text("half a repo")

    shelf.put(report)

    assert not list(shelf.folder.glob(".*"))


def hostile() -> DailyReport:
    """Everything that comes from outside says something evil; the names of agents are ours."""
    evil_attempt = PastAttempt(round(NOW.timestamp() * 1000), "clerk", EVIL, EVIL, "refused", 0, 0, EVIL)
    odd = raw(
        "clerk",
        [evil_attempt, attempt(NOW)],
        [post(EVIL, url="javascript:alert(1)"), post(url="https://example.org/\"'><script>")],
        held=[HELD | {"key": EVIL, "why": EVIL}],
        pause=PAUSE | {"by": EVIL, "why": EVIL},
        errors=[{"at": "2026-11-22T03:00:00Z", "key": EVIL, "error": EVIL}],
        metrics={f"tokens_{EVIL}": 3},
        facts={"incidents": {EVIL: INCIDENT | {"name": EVIL, "why": EVIL}}, EVIL: {"rung": EVIL, "by": EVIL}},
    )
    return daily_report.build([odd], NOW)


def test_nothing_a_report_says_can_run_or_load(shelf: ReportArchive) -> None:
    shelf.put(hostile())

    for name in ("2026-11-22", "index"):
        found = page(shelf, name)
        assert not found.xpath("//script | //img | //iframe | //object | //*[@src] | //@style")
        assert not found.xpath("//@*[starts-with(name(), 'on')]")
        assert not [href for href in found.xpath("//a/@href") if href.startswith("javascript")]
    assert EVIL in page(shelf, "2026-11-22").xpath("//section[@class='waiting']//strong/text()")
    assert EVIL in page(shelf, "2026-11-22").xpath("string(//table[@class='refusals'])")


def test_every_page_forbids_scripts_and_names_its_one_style(shelf: ReportArchive, report: DailyReport) -> None:
    shelf.put(report)

    for name in ("2026-11-22", "index"):
        (policy,) = page(shelf, name).xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert len(page(shelf, name).xpath("//style")) == 1
        assert not re.search(r"url\(|http", page(shelf, name).xpath("string(//style)"))


def test_markdown_of_what_came_from_outside_stays_text_in_its_cell(shelf: ReportArchive) -> None:
    text = (shelf.folder / f"{shelf.put(hostile())}.md").read_text()

    assert "<script>" not in text
    (row,) = [line for line in text.splitlines() if line.startswith("| ") and "2026-11-22T03:00:00Z" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 4


def test_posts_and_reports_lead_to_each_other(shelf: ReportArchive, report: DailyReport) -> None:
    shelf.put(report)

    links = page(shelf, "2026-11-22").xpath("//nav//a/@href")
    assert links == ["../posts/", "../reports/", "../feed.xml"]


def test_a_report_of_nothing_at_all_is_a_page_too(shelf: ReportArchive) -> None:
    found = page(shelf, shelf.put(daily_report.build([], NOW)))

    assert found.xpath("string(//h1)") == "All is well."
    assert not found.xpath("//table[@class='durations'] | //table[@class='refusals']")
