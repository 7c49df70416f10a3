"""Collect the data of a report from the state of every agent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from clients import content, mailbox
from clients.destinations import Published
from clients.destinations.feed_store import FeedStore
from state.agents import events
from state.agents.events import PastAttempt
from state.agents.snapshot import snapshot
from tasks import monitor
from tasks.monitor.incidents import FailingCheck
from tasks.writer import draft_list
from tasks.writer.draft_list import WaitingDraft

#: The agent that records incidents.
MONITOR = "monitor"

_INCIDENTS = TypeAdapter(dict[str, FailingCheck])


@dataclass(frozen=True)
class PublishedPost:
    """A post at one destination."""

    title: str
    destination: str
    url: str
    at: datetime


@dataclass(frozen=True)
class AgentData:
    """One agent: its head and facts as in its state file, its past attempts and its posts since the first day."""

    agent: str
    head: dict[str, Any]
    facts: dict[str, Any]
    past: list[PastAttempt]
    posts: list[PublishedPost]

    @property
    def incidents(self) -> list[FailingCheck]:
        """The open and the past incidents, if this is the agent that records them."""
        try:
            standing = _INCIDENTS.validate_python(self.facts.get("incidents") or {})
            ended = _INCIDENTS.validate_python(self.facts.get("past_incidents") or {})
        except ValidationError:
            return []  # another agent's fact of the same name
        return [*standing.values(), *ended.values()]


@dataclass(frozen=True)
class Desk:
    """The things that wait for a person outside the agents' states: drafts, messages and broken posts."""

    drafts: Sequence[WaitingDraft] = ()
    messages: Mapping[str, int] = field(default_factory=dict)  #: by folder of the mailbox
    broken_posts: Mapping[str, str] = field(default_factory=dict)  #: what is wrong, by file


def desk(since: datetime) -> Desk:
    """Look at what waits for a person now; messages that are older than `since` are left out."""
    broken = {file: why.removeprefix(f"{file}: ") for file, why in content.scan().broken.items()}
    return Desk(draft_list.waiting(), mailbox.left_to_a_person(since), broken)


def all_agents(agents: Iterable[str], since: datetime, public: Path) -> list[AgentData]:
    """Collect the data of all agents.

    Args:
        agents: Their names.
        since: When the first day of the report begins.
        public: The folder of the local feed, which knows the titles of posts.

    """
    found = []
    for agent in agents:
        state, past = snapshot(agent), events.recent(agent, round(since.timestamp() * 1000))
        posts = [post for post in _posts(state.facts.get("published"), FeedStore(public)) if post.at >= since]
        posts.sort(key=lambda post: post.at, reverse=True)
        facts = _looked_at_again(state.facts) if agent == MONITOR else state.facts
        found.append(AgentData(agent, state.head, facts, past, posts))
    return found


def _looked_at_again(facts: dict[str, Any]) -> dict[str, Any]:
    """Let those of the monitor's open incidents end that are over since its last run."""
    open_incidents = facts.get("incidents")
    if not isinstance(open_incidents, dict) or not open_incidents:
        return facts
    failing = monitor.failing(open_incidents, facts.get("watched_since") or {})
    now = datetime.now(UTC).isoformat()
    ended = {name: {**fields, "until": now} for name, fields in open_incidents.items() if name not in failing}
    return {**facts, "incidents": open_incidents | ended}


def _posts(published: Any, entries: FeedStore) -> Iterator[PublishedPost]:
    """Yield the posts of an agent's fact `published`: {post: {destination: {published_at, url, id}}}."""
    for post_id, places in published.items() if isinstance(published, dict) else ():
        entry = entries.get(post_id)
        for destination, fields in places.items() if isinstance(places, dict) else ():
            try:
                out = Published.model_validate(fields)
            except ValidationError:
                continue  # another agent's fact of the same name
            yield PublishedPost(entry.title if entry else post_id, destination, out.url, out.published_at)
