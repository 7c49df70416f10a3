"""Collect the data of a report from the state of every agent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from clients.destinations import Published
from clients.destinations.feed_store import FeedStore
from state.agents import events
from state.agents.events import PastAttempt
from state.agents.snapshot import snapshot
from tasks.monitor.incidents import Incident

_INCIDENTS = TypeAdapter(dict[str, Incident])


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
    def incidents(self) -> list[Incident]:
        """The open and the past incidents, if this is the agent that records them."""
        try:
            standing = _INCIDENTS.validate_python(self.facts.get("incidents") or {})
            ended = _INCIDENTS.validate_python(self.facts.get("past_incidents") or {})
        except ValidationError:
            return []  # another agent's fact of the same name
        return [*standing.values(), *ended.values()]


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
        found.append(AgentData(agent, state.head, state.facts, past, posts))
    return found


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
