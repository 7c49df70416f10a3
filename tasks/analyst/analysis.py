"""An analysis of the numbers: the question to a model, and what rules say when no model answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator

from clients.llm.fallback import Question
from tasks.analyst.metrics import AgentMetrics, Metrics, PostMetrics
from tasks.analyst.timeseries import MIN_CHANGE, SeriesSummary

UNAVAILABLE = "Analysis unavailable"
#: Findings of one analysis: what a person reads over breakfast.
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


def _one_line(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value


Sentence = Annotated[str, BeforeValidator(_one_line), StringConstraints(min_length=1, max_length=400)]


class Analysis(BaseModel):
    """What there is to say; `findings` are sentences, most important first."""

    model_config = ConfigDict(frozen=True)

    summary: Annotated[str, BeforeValidator(_one_line), StringConstraints(min_length=1, max_length=1_000)]
    findings: Annotated[list[Sentence], Field(max_length=MAX_FINDINGS)] = []


class ModelAnalysis(Analysis):
    """What a model may answer: sentences that lead nowhere."""

    summary: Annotated[str, BeforeValidator(_one_line), StringConstraints(min_length=20, max_length=1_000)]

    @field_validator("summary", "findings")
    @classmethod
    def _has_no_links(cls, value: str | list[str]) -> str | list[str]:
        if _LINK.search(value if isinstance(value, str) else "\n".join(value)):
            raise ValueError("has a link; nothing in the numbers leads anywhere")
        return value


def question(numbers: Metrics) -> Question[Analysis]:
    """Ask what the numbers mean."""
    return Question(SYSTEM, numbers.model_dump_json(), ModelAnalysis)


def unsupported_figures(analysis: Analysis, numbers: Metrics) -> list[str]:
    """The figures that an analysis names and the numbers do not have: to be read with care."""
    exact = re.findall(r"\d+(?:\.\d+)?", numbers.model_dump_json())
    known = {_plain(f"{float(figure):.{digits}f}") for figure in exact for digits in (0, 1, 2, 3)}
    told = _FIGURE.findall("\n".join([analysis.summary, *analysis.findings]))
    return [figure for figure in dict.fromkeys(told) if _plain(figure) not in known]


def _plain(figure: str) -> str:
    """`1,204` and `1204.0` are the same figure, and so are `09` and `9`."""
    plain = re.sub(r",(?=\d{3}(?!\d))", "", figure).lstrip("0") or "0"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def raw(numbers: Metrics) -> Analysis:  # noqa: ARG001 - the numbers themselves are stored beside it
    """Nothing is said; the numbers speak."""
    return Analysis(summary=UNAVAILABLE)


def by_rules(numbers: Metrics) -> Analysis | None:
    """What can be said without a model: troubles first, then what is unusual, then the level of each series.

    None where there is nothing to say anything about.
    """
    if not (numbers.posts.out or numbers.series or any(agent.attempts for agent in numbers.agents)):
        return None
    troubles = [sentence for agent in numbers.agents for sentence in _troubles(agent, numbers.days)]
    oddities = [sentence for series in numbers.series for sentence in _oddities(series)]
    levels = [_level(series) for series in numbers.series]
    findings = [*troubles, *oddities, *levels]
    return Analysis(
        summary=f"{_posts(numbers.posts)} {_agents(numbers)} {_unusual(troubles, oddities)}",
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


def _unusual(troubles: list[str], oddities: list[str]) -> str:
    if not troubles and not oddities:
        return "Nothing is unusual."
    parts = [_count(len(troubles), "trouble")] * bool(troubles) + [_count(len(oddities), "unusual value")] * bool(
        oddities
    )
    return f"Worth a look: {' and '.join(parts)}."


def _troubles(agent: AgentMetrics, days: int) -> Iterator[str]:
    if agent.paused:
        yield f"{agent.agent} is paused."
    if agent.held:
        yield f"{agent.agent} has {_count(agent.held, 'key')} that {'waits' if agent.held == 1 else 'wait'} for a person."
    if agent.failed:
        yield f"{agent.agent} failed in {agent.failed} of its {_count(agent.attempts, 'attempt')} in {days} days."
    if agent.unknown:
        yield f"{agent.agent} has {_count(agent.unknown, 'attempt')} of unknown outcome in {days} days."


def _oddities(series: SeriesSummary) -> Iterator[str]:
    for odd in series.unusual:
        word = "high" if odd.value > odd.usual else "low"
        yield f"{_name(series)}: unusually {word} on {odd.at}: {_figure(odd.value)}, where {_figure(odd.usual)} is usual."


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
