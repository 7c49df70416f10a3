"""What the local feed promises: one entry per post, files that are valid at every instant, and nothing that runs."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import feedparser
import pytest
from lxml import etree, html
from pydantic import TypeAdapter, ValidationError

import settings
from clients import destinations
from clients.content import Post
from clients.destinations import Destination, feed, feed_store
from clients.destinations.feed import Feed
from gatekeeper import NotApplied
from gatekeeper.run import prospects
from state.files import lock_file, write_atomic

WEB = "http://127.0.0.1:8000"
ATOM = {"atom": "http://www.w3.org/2005/Atom"}
GRAMMAR = etree.RelaxNG(etree.parse(settings.ROOT / "tests" / "data" / "atom.rng"))

forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


class Clock:
    """Each look is one second later."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 20, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


@pytest.fixture
def local(tmp_path: Path) -> Feed:
    return Feed(tmp_path / "public", WEB, Clock())


def a_post(post_id: str = "hello", **fields: Any) -> Post:
    whole = {"title": "Hello", "publish_at": "2026-11-01", "body": "First.\n\nSecond.", "tags": ["a"]}
    return Post.model_validate({"id": post_id, **whole, **fields})


def parsed(local: Feed) -> Any:
    """Read the feed as a reader does, after the grammar of RFC 4287 has accepted it."""
    data = (local.public / "feed.xml").read_bytes()
    GRAMMAR.assertValid(etree.fromstring(data))
    found = feedparser.parse(data)
    assert not found.bozo
    return found


def listed(local: Feed) -> list[str]:
    return [entry.id.removeprefix(feed.TAG) for entry in parsed(local).entries]


def page(local: Feed, name: str) -> Any:
    return html.fromstring((local.posts / f"{name}.html").read_bytes())


def indexed(local: Feed) -> list[str]:
    return [str(href).removesuffix(".html") for href in page(local, "index").xpath("//h2/a/@href")]


# The feed


def test_a_published_post_is_in_the_feed_and_the_index_and_has_a_page(local: Feed) -> None:
    published = local.publish(a_post())

    assert published.url == f"{WEB}/posts/hello.html"
    assert published.id == "tag:gatehouse.local,2026:hello"
    assert listed(local) == indexed(local) == ["hello"]
    assert page(local, "hello").xpath("string(//h1)") == "Hello"


def test_the_feed_says_what_rfc_4287_demands_beyond_its_grammar(local: Feed) -> None:
    for number in range(3):
        local.publish(a_post(f"post-{number}"))

    root = etree.parse(local.public / "feed.xml").getroot()
    (own,) = root.xpath("atom:link[@rel='self']/@href", namespaces=ATOM)
    ids = root.xpath("//atom:id/text()", namespaces=ATOM)
    links = root.xpath("//atom:link/@href", namespaces=ATOM)

    assert own == f"{WEB}/feed.xml"
    assert root.xpath("atom:author/atom:name/text()", namespaces=ATOM)
    assert len(set(ids)) == len(ids) == 4
    assert all(re.fullmatch(r"tag:[a-z.]+,\d{4}:[a-z0-9_-]+", text) for text in ids)
    assert all(link.startswith(f"{WEB}/") for link in links)
    for entry in root.xpath("atom:entry", namespaces=ATOM):
        assert len(entry.xpath("atom:link[@rel='alternate']", namespaces=ATOM)) == 1
    updated = root.xpath("//atom:entry/atom:updated/text()", namespaces=ATOM)
    assert root.xpath("string(atom:updated)", namespaces=ATOM) == max(updated)


def test_an_entry_carries_the_whole_post(local: Feed) -> None:
    published = local.publish(a_post(title="Ends & beginnings", body="It's *here*.\n\n## More", tags=["x", "y", "x"]))

    (entry,) = parsed(local).entries

    assert entry.title == "Ends & beginnings"
    assert [tag.term for tag in entry.tags] == ["x", "y"]
    assert entry.summary == "It’s here."
    assert entry.content[0].value == "<p>It’s <em>here</em>.</p>\n<h2>More</h2>"
    assert datetime.fromisoformat(entry.published) == published.published_at


def test_the_id_of_an_entry_does_not_change_with_the_address(local: Feed) -> None:
    before = local.publish(a_post())
    after = Feed(local.public, "http://elsewhere:9").publish(a_post())

    assert after.id == before.id
    assert after.url == "http://elsewhere:9/posts/hello.html"


def test_the_feed_carries_the_newest_and_the_index_more(local: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "FEED_LENGTH", 2)
    monkeypatch.setattr(feed_store, "MAX_LISTED", 3)
    for number in range(5):
        local.publish(a_post(f"post-{number}", publish_at=f"2026-11-0{number + 1}"))

    assert listed(local) == ["post-4", "post-3"]
    assert indexed(local) == ["post-4", "post-3", "post-2"]
    assert len(list(local.posts.glob("post-*.html"))) == 5


def test_one_publish_costs_the_same_however_many_went_before(local: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_store, "MAX_LISTED", 3)
    for number in range(10):
        local.publish(a_post(f"post-{number}"))
    opened = []
    read_bytes = Path.read_bytes

    def noted(path: Path) -> bytes:
        opened.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    local.publish(a_post("one-more"))

    assert len([path for path in opened if path.name.startswith("post-")]) == 2


def test_the_index_goes_by_the_dates_of_the_authors(local: Feed) -> None:
    local.publish(a_post("late", publish_at="2026-11-09"))
    local.publish(a_post("early", publish_at="2026-11-02"))

    assert indexed(local) == ["late", "early"]
    assert page(local, "index").xpath("//time/text()") == ["9 November 2026", "2 November 2026"]


def test_a_post_published_ahead_of_its_time_is_not_dated_in_the_future(local: Feed) -> None:
    local.publish(a_post(publish_at="2099-01-01"))

    assert page(local, "hello").xpath("//time/text()") == ["20 November 2026"]


# Once


def test_publishing_again_changes_nothing(local: Feed) -> None:
    first = local.publish(a_post())
    before = files(local)

    assert local.publish(a_post()) == first
    assert files(local) == before


def test_a_changed_post_keeps_its_place_and_its_first_time(local: Feed) -> None:
    first = local.publish(a_post())
    local.publish(a_post("newer"))

    again = local.publish(a_post(title="Hello, again"))

    assert again == first
    assert listed(local) == ["newer", "hello"]
    entry = parsed(local).entries[1]
    assert entry.title == "Hello, again"
    assert entry.updated > entry.published
    assert page(local, "hello").xpath("string(//h1)") == "Hello, again"


def test_an_old_post_published_again_does_not_become_new(local: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_store, "MAX_LISTED", 2)
    for post_id in ("a", "b", "c", "a"):
        local.publish(a_post(post_id))

    assert listed(local) == ["c", "b"]


# Safety


HOSTILE = """
<script>alert(1)</script> <img src=x onerror=alert(1)>

[a](javascript:alert(1)) [b](data:text/html,x) [c](//evil.example) [d](vbscript:x) [e]( JaVaScRiPt:x)
[ok](https://example.org/"onmouseover="x) <https://example.org> <javascript:alert(1)>

![pixel](https://evil.example/x.png "t") [![in](https://evil.example/y.png)](https://example.org)

`</style><script>` &#1; &#xFFFE; &lt;script&gt; ]]> -->

| a | b |
|---|:-:|
| <b>x</b> | "y" |
"""


OUR_LINKS = {"./", "../reports/", "../feed.xml", "#content", "hello.html"}
SAFE_LINKS = {"https://example.org", "https://example.org/%22onmouseover=%22x", "https://evil.example/x.png"}


def test_nothing_a_post_says_can_run_or_load(local: Feed) -> None:
    title = "</title><script>alert('t')</script>\"'&"
    local.publish(a_post(title=title, tags=['"><script>', "a,b&c"], body=HOSTILE))

    assert parsed(local).entries[0].title == title
    pieces = [page(local, "hello"), page(local, "index"), raw_content(local)]
    for piece in pieces:
        assert not piece.xpath("//script | //img | //iframe | //object | //*[@src] | //@*[starts-with(name(), 'on')]")
        assert set(piece.xpath("//a/@href")) <= OUR_LINKS | SAFE_LINKS
    assert page(local, "hello").xpath("string(//h1)") == title
    assert page(local, "index").xpath("string(//h2)") == title


def raw_content(local: Feed) -> Any:
    root = etree.parse(local.public / "feed.xml").getroot()
    return html.fromstring(root.xpath("string(//atom:content)", namespaces=ATOM))


def test_a_picture_becomes_a_link(local: Feed) -> None:
    local.publish(a_post(body="![the pixel](https://example.org/x.png)"))

    (link,) = page(local, "hello").xpath("//article//a")
    assert (link.text, link.get("href")) == ("the pixel", "https://example.org/x.png")


def test_every_page_forbids_scripts_and_loads_nothing(local: Feed) -> None:
    local.publish(a_post())

    for name in ("hello", "index"):
        (policy,) = page(local, name).xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "http" not in page(local, name).xpath("string(//style)")


@pytest.mark.parametrize(("body", "tags"), [("# A\n\n## B", ["h2", "h3"]), ("## A\n\n### B", ["h2", "h3"])])
def test_headings_come_below_the_title(local: Feed, body: str, tags: list[str]) -> None:
    local.publish(a_post(body=body))

    assert [tag.tag for tag in page(local, "hello").xpath("//div[@class='text']/*")] == tags


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        ("# Title\n\nSome `code`\nand [a link](https://example.org).", "Some code and a link."),
        ("```\nonly code\n```", ""),
        ("long " * 100, "long " * 55 + "long…"),
        ("x" * 400, "x" * 280 + "…"),
    ],
)
def test_the_summary_is_the_first_paragraph(local: Feed, body: str, summary: str) -> None:
    local.publish(a_post(body=body))

    assert parsed(local).entries[0].get("summary", "") in {summary, parsed(local).entries[0].content[0].value}
    assert page(local, "index").xpath("string(//article//p)") == summary


# Repair


@pytest.mark.parametrize("lost", ["feed.xml", "newest.json", "posts/index.html", "posts/a.html", ".lock"])
def test_a_lost_file_comes_back_with_the_next_publish(local: Feed, lost: str) -> None:
    local.publish(a_post("a"))
    (local.public / lost).unlink()

    local.publish(a_post("b"))

    assert listed(local) == ["b", "a"]
    assert_whole(local)


@pytest.mark.parametrize("rubbish", ["", "{", "[{}]", "7", "null", '["../../x", "a"]'])
def test_a_damaged_list_is_made_again_or_read_around(local: Feed, rubbish: str) -> None:
    local.publish(a_post("a"))
    (local.public / "newest.json").write_text(rubbish)

    local.publish(a_post("b"))

    assert listed(local) == ["b", "a"]


def test_a_damaged_entry_does_not_stop_the_others(local: Feed) -> None:
    local.publish(a_post("a"))
    (local.store.folder / "a.json").write_text("{")

    local.publish(a_post("b"))
    assert listed(local) == ["b"]

    local.publish(a_post("a"))
    assert sorted(listed(local)) == ["a", "b"]


def test_an_entry_that_an_earlier_version_wrote_with_a_control_character_breaks_no_feed(local: Feed) -> None:
    local.publish(a_post("a"))
    path = local.store.folder / "a.json"
    path.write_text(path.read_text().replace("First.", "Fir\\fst."))

    local.publish(a_post("b"))

    assert listed(local) == ["b", "a"]


def test_an_entry_taken_away_is_gone_from_the_feed(local: Feed) -> None:
    local.publish(a_post("a"))
    (local.store.folder / "a.json").unlink()

    local.publish(a_post("b"))

    assert listed(local) == indexed(local) == ["b"]


# Several processes, and killed ones


def files(local: Feed) -> dict[str, int]:
    """Every file with its time of change: a file written again would have another."""
    found = (path for path in local.public.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(local.public)): path.stat().st_mtime_ns for path in found}


def assert_whole(local: Feed) -> None:
    """Whatever is there is valid, and no list names what is not there."""
    for path in local.public.rglob("*.json"):
        json.loads(path.read_bytes())
    for path in local.public.rglob("*.html"):
        assert path.read_text().endswith("</html>\n")
    for post_id in {*listed(local), *indexed(local)}:
        assert (local.store.folder / f"{post_id}.json").exists()
        assert (local.posts / f"{post_id}.html").exists()


def assert_complete(local: Feed) -> None:
    """Everything published is everywhere, and nothing unfinished lies about."""
    assert_whole(local)
    published = sorted(path.stem for path in local.store.folder.glob("*.json"))
    assert sorted(listed(local)) == sorted(indexed(local)) == published
    assert not list(local.public.rglob(".*.tmp"))


def in_a_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked process and return its id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


def die_at(step: int) -> None:
    """Kill this process right before or right after one of its calls that change something on disk."""
    left = iter(range(step, -1, -1))

    def strike() -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            strike()
            answer = call(*args, **kwargs)
            strike()
            return answer

        return counted

    for owner, name in ((os, "fsync"), (os, "write"), (os, "ftruncate"), (Path, "replace"), (Path, "open")):
        setattr(owner, name, deadly(getattr(owner, name)))


def survives(step: int, local: Feed, post: Post) -> bool:
    """Publish in a child that dies at this step; say whether it came to the end before."""

    def publish() -> None:
        die_at(step)
        local.publish(post)

    _, status = os.waitpid(in_a_child(publish), 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


@forks
def test_a_kill_at_any_instant_leaves_valid_files_and_the_next_publish_repairs(tmp_path: Path) -> None:
    for step in count():
        local = Feed(tmp_path / str(step), WEB)
        local.publish(a_post("before"))
        survived = survives(step, local, a_post("killed"))
        assert_whole(local)
        local.publish(a_post("after"))
        assert_complete(local)
        local.publish(a_post("killed"))
        assert_complete(local)
        assert len(listed(local)) == 3
        if survived:
            break
    assert step > 40


@forks
def test_a_publish_killed_while_it_changes_a_post_is_repaired(tmp_path: Path) -> None:
    for step in count():
        local = Feed(tmp_path / str(step), WEB)
        local.publish(a_post("hello"))
        survived = survives(step, local, a_post("hello", title="New"))
        local.publish(a_post("after"))
        (title,) = (entry.title for entry in parsed(local).entries if entry.id == f"{feed.TAG}hello")
        assert page(local, "hello").xpath("string(//h1)") == title
        if survived:
            break
    assert title == "New"


@forks
def test_processes_that_publish_at_once_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    local = Feed(tmp_path / "public", WEB)
    posts = [a_post(f"post-{number}") for number in range(12)]

    def publish_all(turn: int) -> None:
        found = [local.publish(post) for post in posts[turn:] + posts[:turn]]
        told = {published.id: published.published_at.isoformat() for published in found}
        write_atomic(tmp_path / f"told-{turn}.json", json.dumps(told, sort_keys=True).encode())

    children = [in_a_child(partial(publish_all, turn)) for turn in (0, 3, 6, 9)]

    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
    assert_complete(local)
    assert len(listed(local)) == 12
    assert len({path.read_bytes() for path in tmp_path.glob("told-*.json")}) == 1


@forks
def test_a_killed_process_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    local = Feed(tmp_path / "public", WEB)
    local.publish(a_post("first"))
    ready, told = os.pipe()

    def hold_for_ever() -> None:
        with local._exclusive("held"):
            os.write(told, b"!")
            signal.pause()

    child = in_a_child(hold_for_ever)
    os.read(ready, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(told)

    local.publish(a_post("second"))

    assert_complete(local)


def test_a_feed_that_a_stopped_process_has_locked_is_written_later(
    local: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PATIENCE", 0.1)
    first = local.publish(a_post("first"))

    with (
        lock_file(local.public / ".lock", wait=0),
        pytest.raises(NotApplied, match="another process has held this lock") as refused,
    ):
        local.publish(a_post("second"))

    assert prospects.of(refused.value).temporary
    assert local.find(a_post("first")) == first
    assert local.find(a_post("second")) is None


# Looking for a post


def test_a_published_post_is_found_as_it_was_published(local: Feed) -> None:
    published = local.publish(a_post())

    assert local.find(a_post()) == published
    assert local.find(a_post("other")) is None


def test_nothing_is_found_before_anything_was_published(local: Feed) -> None:
    assert local.find(a_post()) is None


def test_a_post_whose_publisher_died_is_not_found_until_it_is_whole(local: Feed) -> None:
    first = local.publish(a_post())
    (local.public / ".lock").write_text("hello")

    assert local.find(a_post()) is None
    assert local.publish(a_post()) == first
    assert local.find(a_post()) == first


# The registry


@pytest.mark.parametrize("name", destinations.KNOWN)
def test_every_known_destination_can_publish_and_be_looked_through(name: str) -> None:
    assert callable(destinations.get(name).publish)
    assert callable(destinations.get(name).find)


def test_what_a_destination_needs_are_settings() -> None:
    assert set(destinations.NEEDS) <= set(destinations.KNOWN)
    for needed in destinations.NEEDS.values():
        assert all(hasattr(settings.current(), setting) for setting in needed)


def test_an_unknown_destination_is_refused_with_the_known_ones() -> None:
    with pytest.raises(destinations.UnknownDestination, match="unknown destination 'fed'; the destinations are: feed"):
        destinations.get("fed")
    with pytest.raises(ValidationError, match="the destinations are: feed"):
        TypeAdapter(Destination).validate_python("fed")
    assert TypeAdapter(Destination).validate_python("feed") == "feed"


def test_the_feed_lies_where_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_DIR", str(tmp_path / "out"))
    monkeypatch.setenv("WEB_PORT", "8123")
    settings.current.cache_clear()
    try:
        published = destinations.get("feed").publish(a_post())
    finally:
        settings.current.cache_clear()

    assert published.url == "http://127.0.0.1:8123/posts/hello.html"
    assert (tmp_path / "out" / "feed.xml").exists()


# Whole files


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for data in (b"old", b"new"):
        write_atomic(path, data)

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"old")
    monkeypatch.setattr(os, "fsync", full_disk)

    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def full_disk(_: int) -> None:
    raise OSError(28, "No space left on device")
