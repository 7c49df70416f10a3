"""The metrics that are analysed: the posts in the feed, the outcomes of the agents' attempts, and the listed tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import median

from pydantic import BaseModel

import settings
from clients.destinations.feed_store import FeedEntry, FeedStore
from clients.text.markdown import shorten
from gatekeeper.policies import spec
from state.agents import events
from state.agents import snapshot as agent
from tasks.analyst.timeseries import SeriesSummary

#: Days covered: a week has one of each weekday.
DAYS = 7
DAY_MS = 24 * 3600 * 1000
#: How many series and agents are collected: together with the analysis they must fit one fact.
MAX_SERIES, MAX_AGENTS = 12, 20


class PostMetrics(BaseModel):
    """The feed: how many posts it has, how many from the last week and from the week before."""

    out: int
    week: int
    week_before: int
    newest: str | None = None
    newest_at: datetime | None = None


class AgentMetrics(BaseModel):
    """One agent: its attempts of the last week by outcome, its refused calls, and its totals of all time."""

    agent: str
    attempts: int
    done: int
    failed: int
    refused: int
    unknown: int
    median_ms: int | None
    held: int
    paused: bool
    totals: dict[str, int]


class Metrics(BaseModel):
    """Everything that is analysed together."""

    days: int = DAYS
    posts: PostMetrics
    agents: list[AgentMetrics]
    series: list[SeriesSummary]


def collect(tables: Sequence[SeriesSummary], now: datetime) -> Metrics:
    """Collect the metrics at `now`; `tables` are the series from the listed sources. Raises StoreError."""
    return Metrics(
        posts=_posts(now),
        agents=[_agent(name, now) for name in spec.agents()[:MAX_AGENTS]],
        series=list(tables[:MAX_SERIES]),
    )


def _posts(now: datetime) -> PostMetrics:
    public = settings.current().public_dir
    entries = FeedStore(public).newest() if (public / "entries").is_dir() else []
    newest = max(entries, key=lambda entry: entry.published_at, default=None)
    return PostMetrics(
        out=sum(1 for _ in (public / "entries").glob("*.json")),
        week=_published(entries, now - timedelta(days=DAYS), now),
        week_before=_published(entries, now - timedelta(days=2 * DAYS), now - timedelta(days=DAYS)),
        newest=shorten(newest.title, 100) if newest else None,
        newest_at=newest.published_at.astimezone(UTC) if newest else None,
    )


def _published(entries: Sequence[FeedEntry], after: datetime, until: datetime) -> int:
    return sum(after < entry.published_at <= until for entry in entries)


def _agent(name: str, now: datetime) -> AgentMetrics:
    past = events.recent(name, round(now.timestamp() * 1000) - DAYS * DAY_MS)
    began = [one for one in past if one.attempt]
    outcomes, head = Counter(one.outcome for one in past), agent.snapshot(name).head
    totals = {metric: total for metric, total in head["metrics"].items() if metric.startswith("total_")}
    return AgentMetrics(
        agent=name,
        attempts=len(began),
        **{outcome: outcomes[outcome] for outcome in ("done", "failed", "refused", "unknown")},
        median_ms=round(median(one.ms for one in began)) if began else None,
        held=head["held_total"],
        paused=bool(head["paused"]),
        totals=totals,
    )
