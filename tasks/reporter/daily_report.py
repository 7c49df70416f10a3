"""The daily report: its figures per agent and over all, and its first two sentences."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, cast
from zoneinfo import ZoneInfo

from clients.text.words import capitalized, counted, listed
from state.agents.events import PastAttempt
from tasks.monitor.incidents import FailingCheck
from tasks.reporter import stats
from tasks.reporter.collect import AgentData, Desk, PublishedPost
from tasks.reporter.stats import OutcomeCounts, StageRefusals

#: The stream of one agent keeps about as many events (state/scripts/admit.lua, state/scripts/settle.lua).
MAX_EVENTS = 1000
#: Newest first; the feed has the others.
MAX_POSTS = 15
MAX_ERRORS = 5


@dataclass(frozen=True)
class _Attempts:
    """The figures of some attempts in these days."""

    past: Sequence[PastAttempt]
    days: list[date]
    zone: ZoneInfo

    @cached_property
    def per_day(self) -> list[OutcomeCounts]:
        by_day = defaultdict(list)
        for attempt in self.past:
            by_day[stats.day_of(attempt.at_ms, self.zone)].append(attempt)
        return [stats.count(by_day[day]) for day in self.days]

    @cached_property
    def stages(self) -> list[StageRefusals]:
        """Refusals by stage of the gate; the stage with the most comes first."""
        return stats.by_stage(self.past, self.days, self.zone)


@dataclass(frozen=True)
class AgentReport(_Attempts):
    """One agent's week."""

    raw: AgentData

    @cached_property
    def week(self) -> OutcomeCounts:
        return stats.count(self.past, len(self.errors))

    @property
    def name(self) -> str:
        return self.raw.agent

    @property
    def posts_per_day(self) -> list[int]:
        on = Counter(post.at.astimezone(self.zone).date() for post in self.raw.posts)
        return [on[day] for day in self.days]

    @property
    def held(self) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", self.raw.head["held"])

    @property
    def held_total(self) -> int:
        return int(self.raw.head["held_total"])

    @property
    def pause(self) -> dict[str, str] | None:
        return cast("dict[str, str] | None", self.raw.head["pause"])

    @property
    def last_run(self) -> datetime | None:
        text = self.raw.head["last_run"]
        return datetime.fromisoformat(text).astimezone(self.zone) if text else None

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The errors of these days that the state file lists, newest first."""
        return self.errors_since(datetime.combine(self.days[0], datetime.min.time(), self.zone))

    def errors_since(self, moment: datetime) -> list[dict[str, Any]]:
        """Return the errors that the state file lists since a time, newest first."""
        return [each for each in self.raw.head["errors"] if datetime.fromisoformat(each["at"]) >= moment]

    @property
    def cut(self) -> date | None:
        """The first day whose events are complete; None if all days are."""
        if len(self.raw.past) < MAX_EVENTS:
            return None
        return stats.day_of(self.raw.past[0].at_ms, self.zone) + timedelta(days=1)

    @property
    def models(self) -> dict[str, str]:
        """The traces of the model ladder in metrics and facts: total tokens, and the rung of the newest answer."""
        metrics: dict[str, int] = self.raw.head["metrics"]
        traces = {name: f"{total:,}" for name, total in metrics.items() if name.startswith(("tokens_", "rung_"))}
        for name, fact in self.raw.facts.items():
            if isinstance(fact, dict) and isinstance(fact.get("rung"), str):
                traces[name] = f"made by {fact['rung']}" + (
                    f" ({fact['by']})" if isinstance(fact.get("by"), str) else ""
                )
        return traces


@dataclass(frozen=True)
class DailyReport(_Attempts):
    """A report of the days up to today, made at `now`."""

    now: datetime
    agents: list[AgentReport]
    desk: Desk

    @cached_property
    def week(self) -> OutcomeCounts:
        return stats.count(self.past, sum(agent.week.errors for agent in self.agents))

    @cached_property
    def lately(self) -> OutcomeCounts:
        """The outcomes of the last 24 hours."""
        since = self.now - timedelta(days=1)
        listed = sum(len(agent.errors_since(since)) for agent in self.agents)
        return stats.count((each for each in self.past if each.at_ms >= since.timestamp() * 1000), listed)

    @property
    def posts(self) -> list[PublishedPost]:
        every = (post for agent in self.agents for post in agent.raw.posts)
        return sorted(every, key=lambda post: post.at, reverse=True)

    @property
    def posts_lately(self) -> int:
        return sum(post.at >= self.now - timedelta(days=1) for post in self.posts)

    @cached_property
    def incidents(self) -> list[FailingCheck]:
        """The open incidents and those that ended in these days, newest first."""
        every = [incident for agent in self.agents for incident in agent.raw.incidents]
        begin = stats.beginning(self.now)
        recent = [incident for incident in every if incident.until is None or incident.until >= begin]
        return sorted(recent, key=lambda incident: (incident.until is None, incident.since), reverse=True)

    @property
    def standing(self) -> list[FailingCheck]:
        return [incident for incident in self.incidents if incident.until is None]

    @property
    def trouble(self) -> list[FailingCheck]:
        """The open incidents, without those that repeat a held key or a pause."""
        return [one for one in self.standing if not one.name.startswith(("held ", "agent "))]

    @property
    def waiting(self) -> list[str]:
        """The things that wait for a person, in words."""
        paused = [agent.name for agent in self.agents if agent.pause]
        kinds = [
            (sum(agent.held_total for agent in self.agents), "key is held", "keys are held"),
            (len(self.trouble), "incident stands", "incidents stand"),
            (len(self.desk.drafts), "draft waits", "drafts wait"),
            (sum(self.desk.messages.values()), "message waits for an answer", "messages wait for an answer"),
            (len(self.desk.broken_posts), "post is broken", "posts are broken"),
        ]
        found = [counted(*kind) for kind in kinds if kind[0]]
        if paused:
            found.insert(bool(kinds[0][0]), f"{listed(paused)} {'is' if len(paused) == 1 else 'are'} paused")
        return found

    @property
    def verdict(self) -> str:
        """The first sentence: whether anything waits for a person."""
        if self.waiting:
            return f"{capitalized(listed(self.waiting))}."
        return "Nothing waits for you." if self.lately.errors else "All is well."

    @property
    def lead(self) -> str:
        """The second sentence: the figures of the last 24 hours."""
        now = self.lately
        parts = [counted(now.runs, "run", "runs")]
        parts += [counted(now.troubled, "failure", "failures")] if now.troubled else []
        parts += [counted(now.flawed, "run with a flaw", "runs with a flaw")] if now.flawed else []
        parts += [counted(now.refused, "refusal", "refusals")] if now.refused else []
        parts += [counted(now.other_errors, "error without a run", "errors without a run")] if now.other_errors else []
        parts += [counted(self.posts_lately, "new post", "new posts")]
        return f"In the last 24 hours: {listed(parts)}."


def build(raw: Sequence[AgentData], now: datetime, desk: Desk | None = None) -> DailyReport:
    """Build the report of these agents; the time zone of `now`, a `ZoneInfo`, decides where days begin."""
    days, zone = stats.days(now), cast("ZoneInfo", now.tzinfo)
    past = [attempt for one in raw for attempt in one.past]
    return DailyReport(past, days, zone, now, [AgentReport(one.past, days, zone, one) for one in raw], desk or Desk())
