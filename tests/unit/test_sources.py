"""What `sources.toml` lists: files and addresses, bounded, and nothing inside this network that the owner did not write."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import settings
from clients import source_listing, sources
from clients.http import public_only
from clients.source_listing import Source
from clients.sources import BrokenSource, Document, Parsed
from tests.unit.feed_server import FeedServer


@pytest.fixture
def server() -> Iterator[FeedServer]:
    made = FeedServer()
    made.pages["/feed.xml"] = (200, {}, b"<feed/>")
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This process's own CONTENT_DIR, with PUBLIC_DIR beside it."""
    (tmp_path / "content").mkdir()
    (tmp_path / "public").mkdir()
    monkeypatch.setenv("CONTENT_DIR", str(tmp_path / "content"))
    monkeypatch.setenv("PUBLIC_DIR", str(tmp_path / "public"))
    settings.current.cache_clear()
    yield tmp_path / "content"
    monkeypatch.undo()
    settings.current.cache_clear()


def soon() -> float:
    return time.monotonic() + 10


def read(source: Source) -> bytes | None:
    document = sources.read(source, soon())
    return document.data if document else None


def fetch(url: str, *, private: bool = False) -> bytes | None:
    return read(Source(name="a feed", url=url, private=private))


def resolve(monkeypatch: pytest.MonkeyPatch, **hosts: str) -> None:
    """Let names mean addresses, as a name server of a stranger could; `_` stands for a dot."""
    known = {name.replace("_", "."): address for name, address in hosts.items()}
    real = socket.getaddrinfo

    def answer(host: Any, *args: Any, **options: Any) -> Any:
        return real(known.get(str(host), host), *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


# The listing


def test_sources_are_files_our_own_files_and_addresses(folder: Path) -> None:
    (folder / "sources.toml").write_text("""
        [[writer]]
        name = "A file"
        file = "a.xml"
        [[writer]]
        name = "Ours"
        public = "feed.xml"
        [[writer]]
        name = "Theirs"
        url = "https://example.org/feed"
        [[analyst]]
        name = "A table"
        file = "a.csv"
    """)

    assert [source.name for source in source_listing.listed("writer").sources] == ["A file", "Ours", "Theirs"]
    assert [source.name for source in source_listing.listed("analyst").sources] == ["A table"]
    assert not source_listing.listed("writer").broken


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ('name = "x"', "exactly one of: file, public, url"),
        ('name = "x"\nfile = "a"\nurl = "https://example.org"', "exactly one of"),
        ('file = "a"', "name: Field required"),
        ('name = ""\nfile = "a"', "name: "),
        ('name = "x"\nfiel = "a"', "fiel: "),
        ('name = "x"\nurl = "ftp://example.org/"', "not an http or https URL"),
        ('name = "x"\nurl = "file:///etc/passwd"', "not an http or https URL"),
        ('name = "x"\nurl = "https://me:secret@example.org/"', "would appear in logs"),
    ],
)
def test_a_wrong_entry_is_told_and_the_others_go_on(folder: Path, entry: str, why: str) -> None:
    (folder / "sources.toml").write_text(f'[[writer]]\n{entry}\n[[writer]]\nname = "Good"\nfile = "good.xml"\n')

    listing = source_listing.listed("writer")

    assert [source.name for source in listing.sources] == ["Good"]
    assert why in listing.broken["writer 1"]
    assert "secret" not in str(listing.broken)


def test_two_sources_of_one_name_are_told(folder: Path) -> None:
    (folder / "sources.toml").write_text('[[writer]]\nname="x"\nfile="a"\n[[writer]]\nname="x"\nfile="b"\n')

    listing = source_listing.listed("writer")

    assert [str(source.file) for source in listing.sources] == ["a"]
    assert "two sources" in listing.broken["x"]


@pytest.mark.parametrize("text", ["[[writer", 'writer = "x"', "[[writers]]", None])
def test_a_listing_that_cannot_be_used_is_told(folder: Path, text: str | None) -> None:
    if text is not None:
        (folder / "sources.toml").write_text(text)

    listing = source_listing.listed("writer")

    assert not listing.sources
    assert listing.broken


def test_the_listing_that_ships_has_no_mistake() -> None:
    for section in source_listing.SECTIONS:
        listing = source_listing.listed(section, settings.ROOT / "content")
        assert listing.sources
        assert not listing.broken


# Files


def test_a_broken_source_never_stops_the_others(folder: Path) -> None:
    (folder / "sources.toml").write_text("""
        [[writer]]
        name = "Gone"
        file = "gone.xml"
        [[writer]]
        name = "Odd"
        file = "odd.xml"
        [[writer]]
        name = "Good"
        file = "good.xml"
    """)
    (folder / "odd.xml").write_text("odd")
    (folder / "good.xml").write_text("good")

    def parse(document: Document) -> Parsed[str]:
        if document.data == b"odd":
            raise RecursionError("a parser that gives up")
        return Parsed([document.data.decode()], "two lines that are not good")

    reading = sources.read_all("writer", parse)

    assert reading.parts == ("good",)
    assert reading.sources == 3
    assert reading.left_out == {"Good": "two lines that are not good"}
    assert "there is no file" in reading.broken["Gone"]
    assert "RecursionError" in reading.broken["Odd"]


def test_more_reasons_than_fit_the_state_are_counted() -> None:
    told = sources.reported({f"Source {n}": "x" * 1_000 for n in range(40)} | {"Good": ""})

    assert len(told) == sources.MAX_ERRORS + 1
    assert "10 more" in told
    assert sum(len(name) + len(why) for name, why in told.items()) < 12_000


def test_our_own_feed_is_empty_until_something_is_published(folder: Path) -> None:
    ours = Source(name="Ours", public=Path("feed.xml"))
    assert sources.read(ours, soon()) is None

    (folder.parent / "public" / "feed.xml").write_text("<feed/>")
    assert read(ours) == b"<feed/>"


def test_a_file_that_is_too_large_is_broken(folder: Path) -> None:
    (folder / "big.xml").write_bytes(b"x" * (sources.MAX_SOURCE + 1))

    with pytest.raises(BrokenSource, match="larger than"):
        sources.read(Source(name="Big", file=Path("big.xml")), soon())


# Addresses


def test_an_address_that_the_owner_wrote_is_read_wherever_it_is(folder: Path, server: FeedServer) -> None:
    assert fetch(server.url()) == b"<feed/>"
    assert fetch(server.url(host="localhost")) == b"<feed/>"


def test_a_name_that_leads_into_this_machine_is_refused_before_anything_is_sent(
    folder: Path, server: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, feeds_example="127.0.0.1")

    with pytest.raises(BrokenSource, match=r"127\.0\.0\.1 is an address of this machine or its network"):
        fetch(server.url(host="feeds.example"))

    assert server.asked == []
    assert fetch(server.url(host="feeds.example"), private=True) == b"<feed/>"


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "localhost."])
def test_another_spelling_of_this_machine_is_refused(folder: Path, server: FeedServer, host: str) -> None:
    with pytest.raises(BrokenSource):
        fetch(server.url(host=host))

    assert server.asked == []


def test_a_redirect_is_followed(folder: Path, server: FeedServer) -> None:
    server.pages["/old"] = (301, {"Location": "/feed.xml"}, b"")

    assert fetch(server.url("/old")) == b"<feed/>"


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/caf\u00e9/\u00fc.xml", "/caf%C3%A9/%C3%BC.xml"),
        ("/caf%C3%A9.xml", "/caf%C3%A9.xml"),
        ("/a feed.xml?q=a b", "/a%20feed.xml?q=a%20b"),
        ("/\u043b\u0435\u043d\u0442\u0430", "/%D0%BB%D0%B5%D0%BD%D1%82%D0%B0"),
    ],
)
def test_a_redirect_in_raw_utf_8_or_with_spaces_is_followed(
    folder: Path, server: FeedServer, location: str, path: str
) -> None:
    server.pages["/old"] = (301, {"Location": location.encode().decode("latin-1")}, b"")
    server.pages[path] = (200, {"Content-Type": "text/xml"}, b"<feed/>")

    document = sources.read(Source(name="a feed", url=server.url("/old")), soon())

    assert document == Document("a feed", b"<feed/>", server.url(path), "text/xml")


def test_a_redirect_in_latin_1_is_followed(folder: Path, server: FeedServer) -> None:
    server.pages["/old"] = (301, {"Location": "/caf\u00e9"}, b"")
    server.pages["/caf%C3%A9"] = (200, {}, b"<feed/>")

    assert fetch(server.url("/old")) == b"<feed/>"


def test_a_redirect_into_this_machine_is_refused_even_from_a_private_source(
    folder: Path, server: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, intranet_example="127.0.0.1")
    server.pages["/old"] = (302, {"Location": server.url("/secret")}, b"")

    with pytest.raises(BrokenSource, match="address of this machine"):
        fetch(server.url("/old", host="intranet.example"), private=True)

    assert server.asked == ["/old"]


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "gopher://127.0.0.1:6379/_FLUSHALL", "http://a:b@example.org/"]
)
def test_a_redirect_to_what_is_no_web_address_is_refused(folder: Path, server: FeedServer, target: str) -> None:
    server.pages["/old"] = (302, {"Location": target}, b"")

    with pytest.raises(BrokenSource, match="redirects to a URL that is not read"):
        fetch(server.url("/old"))


def test_a_redirect_that_leads_nowhere_is_told_and_not_asked_again(folder: Path, server: FeedServer) -> None:
    server.pages["/old"] = (302, {}, b"")

    with pytest.raises(BrokenSource, match="does not say where to"):
        fetch(server.url("/old"))

    assert server.asked == ["/old"]


def test_a_circle_of_redirects_ends(folder: Path, server: FeedServer) -> None:
    server.pages["/old"] = (302, {"Location": "/old"}, b"")

    with pytest.raises(BrokenSource, match="more than 3 times"):
        fetch(server.url("/old"))

    assert len(server.asked) == 4


def test_an_answer_that_is_no_success_is_broken(folder: Path, server: FeedServer) -> None:
    with pytest.raises(BrokenSource, match="answered 404"):
        fetch(server.url("/gone"))


@pytest.mark.parametrize(("status", "body"), [(200, b""), (200, b" \r\n\t\n"), (204, b""), (203, b"")])
def test_an_empty_answer_is_broken(folder: Path, server: FeedServer, status: int, body: bytes) -> None:
    server.pages["/empty"] = (status, {}, body)

    with pytest.raises(BrokenSource, match=f"/empty answered {status} with an empty body"):
        fetch(server.url("/empty"))


def test_an_empty_file_is_broken(folder: Path) -> None:
    (folder / "empty.xml").write_text("\n")

    with pytest.raises(BrokenSource, match=r"empty\.xml is empty"):
        read(Source(name="Empty", file=Path("empty.xml")))


def test_an_answer_that_is_too_large_is_broken(folder: Path, server: FeedServer) -> None:
    server.pages["/big"] = (200, {}, b"x" * (sources.MAX_SOURCE + 1))

    with pytest.raises(BrokenSource, match="larger than"):
        fetch(server.url("/big"))


def test_a_server_that_does_not_answer_is_broken(folder: Path, server: FeedServer) -> None:
    server.close()

    with pytest.raises(BrokenSource, match="refused"):
        fetch(server.url())


def test_what_comes_after_the_time_for_all_sources_is_told(folder: Path, server: FeedServer) -> None:
    with pytest.raises(BrokenSource, match="not read in time"):
        sources.read(Source(name="late", url=server.url()), time.monotonic() - 1)

    assert server.asked == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1%eth0",
     "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "224.0.0.1"],
)  # fmt: skip
def test_an_address_that_is_not_of_the_internet_is_not_public(address: str) -> None:
    assert not public_only.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert public_only.is_public(address)
