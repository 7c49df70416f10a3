"""The writer: reads the sources in `content/sources.toml` and drafts one post about new items, for a person to approve.

A draft is a local file whose name is derived from its items, so a second run is harmless and the task has no effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import BaseModel

import gatekeeper
from clients import sources
from clients.llm import fallback
from tasks.writer import drafts, feed_items, own_posts, summary
from tasks.writer.feed_items import FeedItem

#: Items in one draft: as many as a person reads in a few minutes.
BATCH_SIZE = 5
#: Items considered in one run, over all sources. The agent's memory keeps 200 entries, so it can hold them all.
MAX_ITEMS = 150
#: Characters of the links of one draft, which must fit a post's front matter.
MAX_LINKS = 6_000
#: How often an item that is still listed is recorded again, so that it is not displaced by newer ones.
REMEMBER_EVERY = timedelta(days=7)


class DraftResult(BaseModel):
    """The result of one run.

    Attributes:
        draft: The draft's id, or None.
        made_by: What wrote it.
        sources: The links of its items.
        why: Why there is none.
        broken: The names of the sources that gave nothing; `broken_sources` in the state says why.
        left_out: What was left out of each other source, and why.

    """

    draft: str | None = None
    made_by: str | None = None
    sources: list[str] = []
    why: str | None = None
    broken: list[str] = []
    left_out: dict[str, str] = {}


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
    considered, unused = _considered(reading.parts, reading.sources, own_posts.recognizer())
    left_out = _in_words(reading.left_out, unused)
    gatekeeper.memory().put("broken_sources", reading.broken or None)
    gatekeeper.memory().put("left_out", left_out or None)
    result = DraftResult(broken=sorted(reading.broken), left_out=left_out)
    chosen = list(_batch(_new(considered)))
    if not chosen:
        why = f"nothing new; read {reading.sources} sources, {len(reading.broken)} broken"
        return result.model_copy(update={"why": why})
    answered = fallback.ask(
        summary.question(chosen), rules=lambda: summary.by_rules(chosen), raw=lambda: summary.raw(chosen)
    )
    written = drafts.write(chosen, answered.value, answered.by, datetime.now(UTC))
    for item in chosen:
        _remember(item, {"draft": written.stem, "title": item.title})
    gatekeeper.memory().put("last_draft", {"draft": written.stem, "made_by": answered.by, "note": answered.note})
    gatekeeper.memory().count("total_drafts")
    made = {"draft": written.stem, "made_by": answered.by, "sources": [item.link for item in chosen]}
    return result.model_copy(update=made)


def _considered(
    items: Iterable[FeedItem], number_of_sources: int, is_ours: Callable[[FeedItem], bool]
) -> tuple[list[FeedItem], dict[str, Counter[str]]]:
    """Choose the items that may be drafted.

    Returns:
        The newest items of each source, newest first over all, undated ones in the order of their feed and last; and per
        source how many were left out for each reason.

    """
    each = max(MAX_ITEMS // max(number_of_sources, 1), 1)
    left_out: dict[str, Counter[str]] = {}
    taken: Counter[str] = Counter()
    considered: dict[str, FeedItem] = {}
    pages: dict[tuple[str, str], str] = {}
    for item in sorted(items, key=_age):
        first = pages.setdefault((item.link, item.title), item.source)
        if is_ours(item):
            why = "of this house itself"
        elif item.id in considered:
            why = "with the guid and the link of another"
        elif first != item.source:
            why = f"also in {first}"
        else:
            taken[item.source] += 1
            if taken[item.source] <= each:
                considered[item.id] = item
            continue
        left_out.setdefault(item.source, Counter())[why] += 1
    return list(considered.values()), left_out


def _in_words(parsing: dict[str, str], choosing: dict[str, Counter[str]]) -> dict[str, str]:
    """Return per source what was left out while parsing and while choosing."""
    both = {name: (parsing.get(name), feed_items.in_words(choosing.get(name, {}))) for name in {**parsing, **choosing}}
    return sources.reported({name: "; ".join(filter(None, told)) for name, told in both.items()})


def _age(item: FeedItem) -> float:
    """Sort newest first; undated items come last, in the order in which they were read."""
    return -item.date.timestamp() if item.date else 0.0


def _new(items: Sequence[FeedItem]) -> list[FeedItem]:
    """Return the items that are in no draft yet, according to the agent's memory and the drafts' files."""
    drafted, new = drafts.drafted(), []
    ids = Counter(item.old_id for item in items)
    for item in items:
        before = gatekeeper.memory().get("drafted", item.id)
        known = before or _known_by_its_old_id(item, is_shared=ids[item.old_id] > 1)
        if known and (not before or date.fromisoformat(known["seen"]) + REMEMBER_EVERY <= _today()):
            _remember(item, known)
        if not known and not drafted(item):
            new.append(item)
    return new


def _known_by_its_old_id(item: FeedItem, *, is_shared: bool) -> dict[str, Any] | None:
    """Return the record of an item that was drafted when the guid alone was its id, or None.

    Such an id may belong to several items: then the recorded title decides.
    """
    before: dict[str, Any] | None = gatekeeper.memory().get("drafted", item.old_id)
    if before is None or before.get("title") in {item.title, item.old_title}:
        return before
    tells_apart = ":" in item.guid if item.guid else "#" not in item.link
    return before if tells_apart and not is_shared else None


def _remember(item: FeedItem, record: dict[str, Any]) -> None:
    gatekeeper.memory().record("drafted", item.id, value={**record, "seen": _today().isoformat()})


def _batch(items: Iterable[FeedItem]) -> Iterator[FeedItem]:
    """Yield the first items whose links fit one draft, at most BATCH_SIZE."""
    length = 0
    for number, item in enumerate(items):
        length += len(item.link)
        if number and (number == BATCH_SIZE or length > MAX_LINKS):
            return
        yield item


def _today() -> date:
    return datetime.now(UTC).date()
