"""What the content folder gives: posts, and clear errors for the files that are none."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

import settings
from clients import content
from clients.content import BrokenPost, Post, PostNotFound

Write = Callable[..., Path]

WHOLE = {"title": "A title", "publish_at": "2026-11-01T09:00:00Z"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.mkdir()
    return path


@pytest.fixture
def write(folder: Path) -> Write:
    def write_post(name: str, body: str = "Some text.", **fields: str) -> Path:
        header = "".join(f"{field}: {value}\n" for field, value in {**WHOLE, **fields}.items() if value != "-")
        path = folder / name
        path.write_text(f"---\n{header}---\n{body}\n", encoding="utf-8")
        return path

    return write_post


def error_of(folder: Path) -> str:
    found = content.scan(folder)
    assert not found.posts
    (error,) = found.broken.values()
    return error


def test_a_post_is_read_whole(folder: Path, write: Write) -> None:
    write("hello.md", "# Hi\n\nText.", id="hallo", destinations="[feed]", tags="[a, b]")

    assert content.load("hallo", folder) == Post(
        id="hallo",
        title="A title",
        publish_at=datetime(2026, 11, 1, 9, tzinfo=UTC),
        destinations=("feed",),
        tags=("a", "b"),
        body="# Hi\n\nText.",
    )


def test_a_post_without_an_id_is_named_after_its_file(folder: Path, write: Write) -> None:
    write("hello-world.md")

    assert content.load("hello-world", folder).destinations == ()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01 09:30", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
        ("2026-11-01T09:30:00+02:00", datetime(2026, 11, 1, 7, 30, tzinfo=UTC)),
        ("20261101", datetime(2026, 11, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(folder: Path, write: Write, written: str, meant: datetime) -> None:
    write("a.md", publish_at=written)

    read = content.load("a", folder).publish_at

    assert read == meant
    assert read.tzinfo is UTC


def test_a_number_is_no_time() -> None:
    with pytest.raises(ValidationError, match="is not a date"):
        Post(id="a", title="t", publish_at=20261101, body="b")  # type: ignore[arg-type]


def test_a_date_is_a_time() -> None:
    post = Post(id="a", title="t", publish_at=date(2026, 11, 1), body="b")  # type: ignore[arg-type]

    assert post.publish_at == datetime(2026, 11, 1, tzinfo=UTC)


def test_a_post_survives_json() -> None:
    post = Post(id="a", title="t", publish_at=datetime(2026, 11, 1, tzinfo=UTC), tags=("x",), body="b")

    assert Post.model_validate_json(post.model_dump_json()) == post


def test_what_looks_like_a_number_or_a_boolean_stays_text(folder: Path, write: Write) -> None:
    write("a.md", title="2026", tags="[no, 1.0]")

    post = content.load("a", folder)

    assert (post.title, post.tags) == ("2026", ("no", "1.0"))


def test_a_comma_list_is_a_list(folder: Path, write: Write) -> None:
    write("a.md", tags="a, b", destinations="feed")

    post = content.load("a", folder)

    assert (post.tags, post.destinations) == (("a", "b"), ("feed",))


def test_characters_that_xml_cannot_hold_are_dropped(folder: Path, write: Write) -> None:
    write("a.md", "be\x01ll\ufffe", title='"a\\0b"')

    post = content.load("a", folder)

    assert (post.title, post.body) == ("ab", "bell")


def test_windows_line_ends_and_a_byte_order_mark_are_read(folder: Path, write: Write) -> None:
    path = write("a.md")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))

    assert content.load("a", folder).body == "Some text."


def test_posts_come_oldest_first(folder: Path, write: Write) -> None:
    write("a.md", publish_at="2026-11-03")
    write("b.md", publish_at="2026-11-01")
    write("c.md", publish_at="2026-11-02")

    assert [post.id for post in content.scan(folder).posts] == ["b", "c", "a"]


def test_a_post_is_due_from_its_time_on(folder: Path, write: Write) -> None:
    write("a.md", publish_at="2026-11-03T09:00:00Z")
    write("b.md", publish_at="2026-11-03T09:00:01Z")
    (folder / "c.md").write_text("broken")

    found = content.due(datetime(2026, 11, 3, 9, tzinfo=UTC), folder)

    assert [post.id for post in found.posts] == ["a"]
    assert list(found.broken) == ["c.md"]


def test_what_is_no_post_is_ignored(folder: Path, write: Write) -> None:
    for name in ("README.md", ".hidden.md"):
        write(name)
    (folder / "notes.txt").write_text("buy milk")
    (folder / "drafts").mkdir()
    write("drafts/later.md")

    assert content.scan(folder) == content.Scan()


def test_a_broken_post_never_stops_the_others(folder: Path, write: Write) -> None:
    write("good.md")
    write("bad.md", title="-")

    found = content.scan(folder)

    assert [post.id for post in found.posts] == ["good"]
    assert found.broken == {"bad.md": "bad.md: title: Field required; write `title: One line of text`."}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"publish_at": "-"}, "publish_at: Field required"),
        ({"publish_at": "soon"}, "publish_at: Invalid isoformat string: 'soon'"),
        ({"publish_at": "0001-01-01T00:00:00+14:00"}, "outside the calendar"),
        ({"title": '""'}, "title: Field required"),
        ({"title": '" "'}, "title: is empty"),
        ({"id": "../../etc/passwd"}, "is not an id"),
        ({"id": '"a\\n"'}, "is not an id"),
        ({"id": "[a, b]"}, "id: Input should be a valid string"),
        ({"id": "x" * 65}, "is not an id"),
        ({"id": "index"}, "the feed's own page"),
        ({"tags": "[[a], [b]]"}, "tags: Input should be a valid string"),
        ({"embargo": "true"}, "unknown in its front matter: 'embargo'; the fields are id, title, publish_at"),
        ({"title": "a\ntitle: b"}, "has 'title' twice"),
        ({"title": "a: b: c"}, "not YAML"),
        ({"tags": "[" * 5_000}, "not YAML"),
        ({"tags": "[" * 50_000}, "front matter of more than 8,000 characters"),
        ({"tags": "&a [x]\nid: *a"}, "YAML aliases"),
        ({"tags": "!!python/object/apply:os.getcwd []\nid: A"}, "is not an id"),
        ({"title": '"\\ud800"'}, "not YAML"),
    ],
)
def test_wrong_front_matter_is_a_clear_error(folder: Path, write: Write, fields: dict[str, str], error: str) -> None:
    write("a.md", **fields)

    assert error in error_of(folder)
    assert error_of(folder).startswith("a.md: ")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "has no front matter"),
        (b"text\n---\ntitle: no header\n---\nmore", "has no front matter"),
        (b"---\ntitle: never closed\n", "has no front matter"),
        (b"---\nbody: in the wrong place\n---\ntext", "unknown in its front matter: 'body'"),
        (b"---\n- a\n- b\n---\ntext", "not a list of `field: value` lines"),
        (b"---\ntitle: a\npublish_at: 2026-11-01\n---\n  \n", "body: is empty; write `Markdown below"),
        (b"---\ntitle: \xff\n---\ntext", "is not UTF-8 at byte 11"),
        (b"a" * 1_000_001, "is larger than 1,000,000 bytes"),
    ],
)
def test_a_file_that_is_no_post_is_a_clear_error(folder: Path, data: bytes, error: str) -> None:
    (folder / "a.md").write_bytes(data)

    assert error in error_of(folder)


def test_a_folder_named_like_a_post_is_a_clear_error(folder: Path) -> None:
    (folder / "a.md").mkdir()

    assert "is not a regular file" in error_of(folder)


def test_a_pipe_does_not_hang_the_scan(folder: Path) -> None:
    os.mkfifo(folder / "a.md")
    os.mkfifo(folder / "a.html")

    assert "is not a regular file" in error_of(folder)


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, write: Write, tmp_path: Path) -> None:
    write("secret.md").rename(tmp_path / "secret.md")
    (folder / "a.md").symlink_to(tmp_path / "secret.md")

    assert "is a link out of the content folder" in error_of(folder)


def test_a_link_within_the_folder_is_followed(folder: Path, write: Write) -> None:
    (folder / "drafts").mkdir()
    write("drafts/a.md")
    (folder / "a.md").symlink_to("drafts/a.md")

    assert content.load("a", folder).title == "A title"


def test_a_link_to_a_folder_is_told(folder: Path, write: Write, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    write("good.md")

    found = content.scan(folder)

    assert [post.id for post in found.posts] == ["good"]
    assert "is a link to a folder, which is not followed" in found.broken["linked"]


def test_a_folder_of_other_things_than_posts_is_told(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content.folder, "MAX_FILES", 3)
    write("good.md")
    (folder / "many").mkdir()
    for number in range(3):
        write(f"many/{number}.md")

    found = content.scan(folder)

    assert [post.id for post in found.posts] == ["good"]
    assert "holds more than 3 files" in found.broken["content"]


def test_a_folder_that_cannot_be_read_does_not_stop_the_others(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "locked").mkdir()
    write("good.md")
    scandir = os.scandir

    def refusing_scandir(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing_scandir)

    found = content.scan(folder)

    assert [post.id for post in found.posts] == ["good"]
    assert found.broken["locked"] == "locked: cannot be read: Permission denied; repair or remove it"


@pytest.mark.parametrize("target", ["a.md", "gone.md"])
def test_a_link_to_nothing_is_a_clear_error(folder: Path, target: str) -> None:
    (folder / "a.md").symlink_to(target)

    assert error_of(folder).startswith("a.md: cannot be read")


def test_a_link_that_cannot_be_followed_does_not_stop_another_post(folder: Path, write: Write) -> None:
    (folder / "a.md").symlink_to("x" * 300)
    write("good.md")

    assert content.load("good", folder).id == "good"


def test_a_file_name_that_is_not_utf8_can_still_be_reported(folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.md"))).write_text("x")

    (name,) = content.scan(folder).broken
    assert name.encode()


def test_two_files_with_one_id_are_both_broken(folder: Path, write: Write) -> None:
    write("one.md", id="same")
    write("two.md", id="same")
    write("good.md")

    found = content.scan(folder)

    assert [post.id for post in found.posts] == ["good"]
    assert "is also in two.md" in found.broken["one.md"]
    assert "is also in one.md" in found.broken["two.md"]
    with pytest.raises(BrokenPost, match="is also in"):
        content.load("same", folder)


def test_a_broken_twin_does_not_stop_a_good_post(folder: Path, write: Write) -> None:
    write("a.md", title="-", id="same")
    write("b.md", id="same")

    assert content.load("same", folder).title == "A title"


def test_loading_a_broken_post_raises_its_error(folder: Path, write: Write) -> None:
    write("file.md", id="name", title="-")

    with pytest.raises(BrokenPost, match=r"^file\.md: title: Field required"):
        content.load("name", folder)


def test_loading_one_post_parses_no_other(folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        write(f"other-{number}.md")
    write("wanted.md")
    parsed: list[str] = []
    split = content.post.split

    def recording_split(text: str) -> tuple[dict[str, object], str]:
        parsed.append(text)
        return split(text)

    monkeypatch.setattr(content.post, "split", recording_split)

    assert content.load("wanted", folder).id == "wanted"
    assert len(parsed) == 1


def test_an_id_that_yaml_spells_with_escapes_is_found(folder: Path, write: Write) -> None:
    write("file.md", id='"h\\x65llo"')

    assert content.load("hello", folder).id == "hello"
    assert [post.id for post in content.scan(folder).posts] == ["hello"]


def test_an_id_spelt_with_escapes_is_a_duplicate_too(folder: Path, write: Write) -> None:
    write("file.md", id='"h\\x65llo"')
    write("hello.md")

    with pytest.raises(BrokenPost, match="is also in"):
        content.load("hello", folder)


@pytest.mark.parametrize("post_id", ["absent", "../a", "/etc/passwd", "a\0", "", "a" * 10_000])
def test_an_unknown_id_is_not_found(folder: Path, write: Write, post_id: str) -> None:
    write("../a.md")

    with pytest.raises(PostNotFound, match="no post") as raised:
        content.load(post_id, folder)
    assert len(str(raised.value)) < 500


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    found = content.scan(tmp_path / "nowhere")

    assert "create the folder or point CONTENT_DIR" in found.broken["nowhere"]
    with pytest.raises(PostNotFound):
        content.load("a", tmp_path / "nowhere")


def test_the_folder_is_the_configured_one(folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.md")
    monkeypatch.setenv("CONTENT_DIR", str(folder))
    settings.current.cache_clear()
    try:
        assert content.load("a").id == "a"
        assert len(content.scan().posts) == 1
    finally:
        settings.current.cache_clear()


def test_the_posts_that_ship_are_whole_and_one_is_not_yet_due() -> None:
    folder = settings.ROOT / "content"
    everything, now = content.scan(folder), content.due(datetime(2026, 11, 22, tzinfo=UTC), folder)

    assert everything.broken == {}
    assert len(now.posts) == 5
    assert {post.id for post in everything.posts} - {post.id for post in now.posts} == {"letter-to-2099"}
