"""An analysis of the metrics: the question to a model, and the text that rules write without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from clients.llm.fallback import Question
from clients.text.words import OneLine
from tasks.analyst.metrics import AgentMetrics, Metrics, PostMetrics
from tasks.analyst.timeseries import MIN_CHANGE, SeriesSummary

#: The summary of the lowest rung; the numbers themselves are stored beside it.
UNAVAILABLE = "Analysis unavailable"
#: Findings in one analysis.
MAX_FINDINGS = 12

SYSTEM = """\
You analyse the numbers of a small system that runs AI agents and publishes posts. You get JSON: `posts` (the feed),
`agents` (attempts of the last days by outcome, and totals of all time) and `series` (tables; `change` compares the median of
the newest `stride` values with that of those before, in percent; `unusual` lists values far from the usual one).
Say what changed, what is unusual, and what a person should look at, most important first. Use only figures that are
there. If all is well, say so briefly.
- summary: two or three sentences.
- findings: up to eight sentences, each with its figures. No links, no Markdown."""

_LINK = re.compile(r"(?i)\b(?:[a-z][a-z0-9+.-]{0,30}://|www\.)|\]\(")
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")


Sentence = Annotated[OneLine, StringConstraints(min_length=1, max_length=400)]


class Analysis(BaseModel):
    """The text of an analysis; `findings` are sentences, most important first."""

    model_config = ConfigDict(frozen=True)

    summary: Annotated[OneLine, StringConstraints(min_length=1, max_length=1_000)]
    findings: Annotated[list[Sentence], Field(max_length=MAX_FINDINGS)] = []


class ModelAnalysis(Analysis):
    """An analysis by a model: sentences without links."""

    summary: Annotated[OneLine, StringConstraints(min_length=20, max_length=1_000)]

    @field_validator("summary", "findings")
    @classmethod
    def _has_no_links(cls, value: str | list[str]) -> str | list[str]:
        if _LINK.search(value if isinstance(value, str) else "\n".join(value)):
            raise ValueError("has a link; nothing in the numbers leads anywhere")
        return value


def question(numbers: Metrics) -> Question[Analysis]:
    """Return the question for an analysis of the metrics."""
    return Question(SYSTEM, numbers.model_dump_json(), ModelAnalysis)


def unsupported_figures(analysis: Analysis, numbers: Metrics) -> list[str]:
    """Return the figures in an analysis that the metrics do not contain, rounded or not; a model may have invented them."""
    exact = re.findall(r"\d+(?:\.\d+)?", numbers.model_dump_json())
    known = {_plain(f"{float(figure):.{digits}f}") for figure in exact for digits in (0, 1, 2, 3)}
    figures = _FIGURE.findall("\n".join([analysis.summary, *analysis.findings]))
    return [figure for figure in dict.fromkeys(figures) if _plain(figure) not in known]


def _plain(figure: str) -> str:
    """Normalize a figure: `1,204` and `1204.0` are equal, and so are `09` and `9`."""
    plain = re.sub(r",(?=\d{3}(?!\d))", "", figure).lstrip("0") or "0"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def by_rules(numbers: Metrics) -> Analysis | None:
    """Write an analysis without a model: problems first, then outliers, then the level of each series.

    Returns:
        The analysis, or None if there are no posts, no attempts and no series.

    """
    if not (numbers.posts.out or numbers.series or any(agent.attempts for agent in numbers.agents)):
        return None
    problems = [sentence for agent in numbers.agents for sentence in _problems(agent, numbers.days)]
    outliers = [sentence for series in numbers.series for sentence in _outliers(series)]
    levels = [_level(series) for series in numbers.series]
    findings = [*problems, *outliers, *levels]
    return Analysis(
        summary=f"{_posts(numbers.posts)} {_agents(numbers)} {_worth_a_look(problems, outliers)}",
        findings=findings[:MAX_FINDINGS],
    )


def _posts(posts: PostMetrics) -> str:
    if not posts.out:
        return "No post is out yet."
    newest = f"; the newest is “{posts.newest}”, {posts.newest_at:%d %B}" if posts.newest_at else ""
    return (
        f"{_count(posts.out, 'post')} {'is' if posts.out == 1 else 'are'} out, {posts.week} of them from the last week "
        f"({posts.week_before} the week before){newest}."
    )


def _agents(numbers: Metrics) -> str:
    attempts = sum(agent.attempts for agent in numbers.agents)
    if not attempts:
        return "No agent has run in this time."
    done, names = sum(agent.done for agent in numbers.agents), [a.agent for a in numbers.agents if a.attempts]
    share = "all of them done" if done == attempts else f"{done} of them done"
    return f"{_count(len(names), 'agent')} made {_count(attempts, 'attempt')} in {numbers.days} days, {share}."


def _worth_a_look(problems: list[str], outliers: list[str]) -> str:
    if not problems and not outliers:
        return "Nothing is unusual."
    counts = {"problem": len(problems), "unusual value": len(outliers)}
    parts = [_count(number, noun) for noun, number in counts.items() if number]
    return f"Worth a look: {' and '.join(parts)}."


def _problems(agent: AgentMetrics, days: int) -> Iterator[str]:
    if agent.paused:
        yield f"{agent.agent} is paused."
    if agent.held:
        yield f"{agent.agent} has {_count(agent.held, 'key')} that {'waits' if agent.held == 1 else 'wait'} for a person."
    if agent.failed:
        yield f"{agent.agent} failed in {agent.failed} of its {_count(agent.attempts, 'attempt')} in {days} days."
    if agent.unknown:
        yield f"{agent.agent} has {_count(agent.unknown, 'attempt')} of unknown outcome in {days} days."


def _outliers(series: SeriesSummary) -> Iterator[str]:
    for each in series.unusual:
        word = "high" if each.value > each.usual else "low"
        value, usual = _figure(each.value), _figure(each.usual)
        yield f"{_name(series)}: unusually {word} on {each.at}: {value}, where {usual} is usual."


def _level(series: SeriesSummary) -> str:
    level = (
        f"{_name(series)}: {_figure(series.total)} in {_count(series.count, 'row')}, {_figure(series.mean)} on average"
    )
    if series.change is None:
        return f"{level}."
    trend = (
        "about the same"
        if abs(series.change) < MIN_CHANGE
        else f"{'up' if series.change > 0 else 'down'} {abs(series.change):g} %"
    )
    return f"{level}; the newest {series.stride} are {trend} against the {series.stride} before."


def _name(series: SeriesSummary) -> str:
    return f"{series.source}, {series.name}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,g}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
