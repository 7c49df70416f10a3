"""Each feed of tests/data/feeds, served as it would be, gives what `expected.json` says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients import sources
from clients.source_listing import Source
from clients.sources import BrokenSource, Parsed
from tasks.writer import feed_items
from tasks.writer.feed_items import FeedItem
from tests.unit.feed_server import FeedServer

FOLDER = Path(__file__).parents[1] / "data" / "feeds"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text())

each = pytest.mark.parametrize("name", EXPECTED)


@pytest.fixture
def server() -> Iterator[FeedServer]:
    one = FeedServer()
    yield one
    one.close()


def read(server: FeedServer, name: str) -> Parsed[FeedItem]:
    """Serve the file with its Content-Type, behind a redirect if there is one, and read it as the writer does."""
    expected = EXPECTED[name]
    server.pages[f"/{name}"] = (200, {"Content-Type": expected["content_type"]}, (FOLDER / name).read_bytes())
    old = expected.get("redirected_from", f"/{name}")
    server.pages.setdefault(old, (301, {"Location": f"/{name}"}, b""))
    document = sources.read(Source(name="A feed", url=server.url(old)), time.monotonic() + 10)
    assert document is not None
    return feed_items.parse(document)


@pytest.mark.slow  # each is parsed in a process of its own
@each
def test_each_feed_has_its_outcome(server: FeedServer, name: str) -> None:
    expected = EXPECTED[name]
    if "broken" in expected:
        with pytest.raises(BrokenSource) as raised:
            read(server, name)
        assert expected["broken"] in str(raised.value)
        return

    parsed = read(server, name)

    base = server.url("")
    assert [[item.title, item.link] for item in parsed.parts] == [
        [title, link.replace("{base}", base)] for title, link in expected["items"]
    ]
    assert parsed.left_out == expected.get("left_out", "")
    assert len({item.id for item in parsed.parts}) == len(parsed.parts)
    if "dates" in expected:
        assert [item.date and item.date.isoformat() for item in parsed.parts] == expected["dates"]
    if "texts" in expected:
        assert [item.text for item in parsed.parts] == expected["texts"]


def test_every_file_of_the_folder_has_an_outcome() -> None:
    files = {path.name for path in FOLDER.iterdir()} - {"expected.json"}

    assert files == set(EXPECTED)
    assert len(files) >= 40
