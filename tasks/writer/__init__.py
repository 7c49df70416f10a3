"""The writer: reads the sources in `content/sources.toml` and drafts one post about new items, for a person to approve.

A draft is a local file whose name is derived from its items, so a second run is harmless and the task has no effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from pydantic import BaseModel

import gatekeeper
from clients import sources
from clients.llm import fallback
from tasks.writer import drafts, feed_items, summary
from tasks.writer.feed_items import FeedItem

#: Items in one draft: as many as a person reads in a few minutes.
BATCH_SIZE = 5
#: Items considered in one run, over all sources. The agent's memory keeps 200 entries, so it can hold them all.
MAX_ITEMS = 150
#: How often an item that is still listed is recorded again, so that it is not displaced by newer ones.
REMEMBER_EVERY = timedelta(days=7)


class DraftResult(BaseModel):
    """The result of one run: the draft's id and what wrote it, or why there is none."""

    draft: str | None = None
    made_by: str | None = None
    sources: list[str] = []
    why: str | None = None
    broken: list[str] = []


@gatekeeper.task(lease="3m")
def draft() -> DraftResult:
    """Draft one post from the newest items that are in no draft yet; broken sources are recorded in the agent's state.

    Raises:
        gatekeeper.Refused: another run is drafting.

    """
    with drafts.exclusive():
        return _draft()


def _draft() -> DraftResult:
    reading = sources.read_all("writer", feed_items.parse)
    gatekeeper.memory().put("broken_sources", reading.broken or None)
    broken = sorted(reading.broken)
    chosen = _new(_considered(reading.parts, reading.sources))[:BATCH_SIZE]
    if not chosen:
        return DraftResult(why=f"nothing new; read {reading.sources} sources, {len(broken)} broken", broken=broken)
    answered = fallback.ask(
        summary.question(chosen), rules=lambda: summary.by_rules(chosen), raw=lambda: summary.raw(chosen)
    )
    written = drafts.write(chosen, answered.value, answered.by, datetime.now(UTC))
    _remember(chosen, written.stem)
    gatekeeper.memory().put("last_draft", {"draft": written.stem, "made_by": answered.by, "note": answered.note})
    gatekeeper.memory().count("total_drafts")
    return DraftResult(
        draft=written.stem, made_by=answered.by, sources=[item.link for item in chosen], broken=broken
    )  # fmt: skip


def _considered(items: Iterable[FeedItem], number_of_sources: int) -> list[FeedItem]:
    """Return the newest items of each source, newest first over all, without our own digests."""
    each = max(MAX_ITEMS // max(number_of_sources, 1), 1)
    taken: Counter[str] = Counter()
    considered: dict[str, FeedItem] = {}
    for item in sorted((item for item in items if not _is_ours(item)), key=_age):
        taken[item.source] += 1
        if taken[item.source] <= each:
            considered.setdefault(item.link, item)
    return list(considered.values())


def _is_ours(item: FeedItem) -> bool:
    return item.link.rpartition("/")[2].startswith(drafts.PREFIX)


def _age(item: FeedItem) -> tuple[float, str]:
    """Sort newest first; undated items come last."""
    return (-item.date.timestamp() if item.date else 0.0, item.id)


def _new(items: Sequence[FeedItem]) -> list[FeedItem]:
    """Return the items that are in no draft yet, according to the agent's memory and the drafts' files."""
    memory, linked, new = gatekeeper.memory(), drafts.links(), []
    for item in items:
        before = memory.get("drafted", item.id)
        if before and date.fromisoformat(before["seen"]) + REMEMBER_EVERY <= _today():
            memory.record("drafted", item.id, value=before | {"seen": _today().isoformat()})
        if not before and item.link not in linked:
            new.append(item)
    return new


def _remember(chosen: Iterable[FeedItem], name: str) -> None:
    for item in chosen:
        value = {"draft": name, "title": item.title, "seen": _today().isoformat()}
        gatekeeper.memory().record("drafted", item.id, value=value)


def _today() -> date:
    return datetime.now(UTC).date()
