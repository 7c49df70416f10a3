"""The writer: reads what `content/sources.toml` lists and drafts one post about what is new; a person decides about it.

A draft is a local file whose name follows from its items, so running again is harmless and no line is crossed.
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

#: Items in one draft: what a person reads in a few minutes.
BATCH_SIZE = 5
#: Items looked at in one run, over all sources. The memory keeps 200 entries, so it can know them all.
MAX_ITEMS = 150
#: An item that is still listed is remembered anew this often, so that it outlives those that are gone.
REMEMBER_EVERY = timedelta(days=7)


class DraftResult(BaseModel):
    """What one run made: the draft's id and by whom, or why there is none."""

    draft: str | None = None
    made_by: str | None = None
    sources: list[str] = []
    why: str | None = None
    broken: list[str] = []


@gatekeeper.task(lease="3m")
def draft() -> DraftResult:
    """Draft one post from the newest items that no draft was made from; broken sources are told in the state."""
    try:
        with drafts.exclusive():
            return _draft()
    except drafts.DraftsInUse as busy:
        raise gatekeeper.Refused(str(busy)) from None


def _draft() -> DraftResult:
    reading = sources.read_all("writer", feed_items.parse)
    gatekeeper.memory().put("broken_sources", reading.broken or None)
    broken = sorted(reading.broken)
    chosen = _unknown(_in_view(reading.parts, reading.sources))[:BATCH_SIZE]
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


def _in_view(found: Iterable[FeedItem], number_of_sources: int) -> list[FeedItem]:
    """The newest items of each source, newest first over all; our own digests are no news."""
    each = max(MAX_ITEMS // max(number_of_sources, 1), 1)
    taken: Counter[str] = Counter()
    kept: dict[str, FeedItem] = {}
    for item in sorted((item for item in found if not _is_ours(item)), key=_age):
        taken[item.source] += 1
        if taken[item.source] <= each:
            kept.setdefault(item.link, item)
    return list(kept.values())


def _is_ours(item: FeedItem) -> bool:
    return item.link.rpartition("/")[2].startswith(drafts.PREFIX)


def _age(item: FeedItem) -> tuple[float, str]:
    """Newest first; what has no date comes last."""
    return (-item.date.timestamp() if item.date else 0.0, item.id)


def _unknown(seen: Sequence[FeedItem]) -> list[FeedItem]:
    """Those no draft was made from, as the memory and the drafts' own files say."""
    memory, linked, unknown = gatekeeper.memory(), drafts.links(), []
    for item in seen:
        before = memory.get("drafted", item.id)
        if before and date.fromisoformat(before["seen"]) + REMEMBER_EVERY <= _today():
            memory.record("drafted", item.id, value=before | {"seen": _today().isoformat()})
        if not before and item.link not in linked:
            unknown.append(item)
    return unknown


def _remember(chosen: Iterable[FeedItem], name: str) -> None:
    for item in chosen:
        value = {"draft": name, "title": item.title, "seen": _today().isoformat()}
        gatekeeper.memory().record("drafted", item.id, value=value)


def _today() -> date:
    return datetime.now(UTC).date()
