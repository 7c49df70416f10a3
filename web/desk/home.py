"""`GET /`: what waits for a person, and how the agents are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from starlette.responses import Response
from starlette.routing import BaseRoute

import settings
from state.agents.snapshot import revisions
from state.ledger import Ledger
from tasks.writer import draft_list, drafts
from tasks.writer.draft_list import WaitingDraft
from web.desk import agent_rows, door, draft_pages, inbox
from web.desk.agent_rows import AgentRow
from web.desk.inbox import Page
from web.desk.visit import Visit
from workers.people import all_agents

#: Drafts on a page.
DRAFTS = 10
#: Cards of a kind that the page of everything has at least, if there are so many.
AT_LEAST = 5
KINDS = ("doubt", "approval", "draft")


@dataclass(frozen=True)
class DraftCard:
    """A draft as the list shows it; `text` is its beginning."""

    draft: WaitingDraft
    text: str
    is_whole: bool


@dataclass(frozen=True)
class Drafts:
    """Some drafts, how many wait in all, and where the next page begins (empty: there is none)."""

    cards: list[DraftCard]
    total: int
    next: str


def routes() -> list[BaseRoute]:
    """Return the route of the desk."""
    return [door.page("/", show, version=version)]


def show(visit: Visit) -> Response:
    """Show what waits for a person first, and then the agents. A query chooses one kind, page by page."""
    agents, kind, start = all_agents(), visit.query("kind"), visit.query("from")
    one = kind if kind in KINDS else ""
    doubts = inbox.page(agents, "doubt", start if one == "doubt" else "", _most(one, "doubt", 0))
    asks = inbox.page(agents, "approval", start if one == "approval" else "", _most(one, "approval", len(doubts.cards)))
    written = _drafts(start if one == "draft" else "")
    counts = {"doubt": doubts.total, "approval": asks.total, "draft": written.total}
    shown = {"doubt": doubts, "approval": asks, "draft": written}
    return visit.render(
        "home.html",
        current="home",
        one=one,
        counts=counts,
        total=sum(counts.values()),
        doubts=shown["doubt"] if one in {"", "doubt"} else _none(doubts),
        asks=shown["approval"] if one in {"", "approval"} else _none(asks),
        drafts=shown["draft"] if one in {"", "draft"} else Drafts([], written.total, ""),
        start=start,
        agents=_rows(_changes(agents), settings.current().state_dir),
    )


def version(_visit: Visit) -> str:
    """Return a text that changes when the page does: with each change of an agent, with the drafts, and each minute."""
    agents = all_agents()
    folder = drafts.folder()
    written = folder.stat().st_mtime_ns if folder.is_dir() else 0
    waiting = Ledger().count_waiting(agents), Ledger().count_waiting(agents, "approval")
    return f"{_changes(agents)} {waiting} {written}"


def _changes(agents: list[str]) -> str:
    """Return a text that changes with each change of an agent, and each minute: some of a page is about the time."""
    return f"{revisions(agents)} {datetime.now(UTC):%Y-%m-%dT%H:%M}"


@lru_cache(maxsize=1)
def _rows(_changes: str, _state_dir: Path) -> list[AgentRow]:
    """Return the lines of the agents, read again when something changed: they cost more than the rest of the page."""
    return agent_rows.rows()


def _most(one: str, kind: str, before: int) -> int:
    """Return how many cards of a kind the page has: all kinds share it, unless one is chosen."""
    if one:
        return inbox.PER_PAGE if one == kind else 0
    return max(AT_LEAST, inbox.PER_PAGE - before)


def _none(page: Page) -> Page:
    return Page([], page.total, "")


def _drafts(start: str) -> Drafts:
    first = int(start) if start.isascii() and start.isdecimal() and len(start) < inbox.MAX_DIGITS else 0
    found = draft_list.waiting()
    shown = [DraftCard(each, *draft_pages.excerpt(each)) for each in found[first : first + DRAFTS]]
    last = first + len(shown)
    return Drafts(shown, len(found), str(last) if last < len(found) and shown else "")
