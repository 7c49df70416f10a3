"""Which items the writer looks at: the newest of each source, and no more than it can remember."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from state.agents.facts import MAX_ENTRIES
from tasks import writer
from tasks.writer.feed_items import FeedItem


def items_of(source: str, count: int, newest: datetime | None) -> list[FeedItem]:
    return [
        FeedItem(f"{source}{n}", source, f"Title {n}", f"https://{source}.example/{n}", "",
             newest - timedelta(hours=n) if newest else None)
        for n in range(count)
    ]  # fmt: skip


def considered(items: list[FeedItem], number_of_sources: int) -> list[FeedItem]:
    return writer._considered(items, number_of_sources, lambda _: False)[0]


NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_what_is_in_view_fits_the_memory() -> None:
    found = [item for source in ("a", "b", "c") for item in items_of(source, 500, NOW)]

    assert len(considered(found, 3)) == writer.MAX_ITEMS < MAX_ENTRIES


def test_a_source_that_writes_much_does_not_hide_one_that_writes_little() -> None:
    seen = considered(items_of("loud", 500, NOW) + items_of("quiet", 2, NOW - timedelta(days=90)), 2)

    assert sum(item.source == "quiet" for item in seen) == 2
    assert seen[0].id == "loud0"


def test_items_without_a_date_come_last() -> None:
    seen = considered(items_of("a", 2, None) + items_of("b", 1, NOW), 2)

    assert [item.id for item in seen] == ["b0", "a0", "a1"]


def test_two_sources_that_link_to_the_same_page_give_one_item() -> None:
    first, second = items_of("a", 1, NOW)[0], items_of("b", 1, NOW - timedelta(hours=1))[0]
    same = FeedItem(second.id, second.source, second.title, first.link, second.text, second.date)

    assert considered([same, first], 2) == [first]
