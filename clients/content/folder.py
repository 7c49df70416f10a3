"""Read the posts to publish: the Markdown files in `content/`, read again on each call."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import settings
from clients.content import post
from clients.content.post import BrokenPost, Post

#: Bytes. A long novel is under 1 MB of text; a larger file is in this folder by mistake.
MAX_POST = 1_000_000


class PostNotFound(LookupError):
    """Raised when no file in the content folder has the post's id."""


@dataclass(frozen=True)
class Scan:
    """The content of the folder: `posts`, oldest `publish_at` first, and `broken`, the error by file name."""

    posts: tuple[Post, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)


def load(post_id: str, folder: Path | None = None) -> Post:
    """Return the post with this id. Only files that can hold the id are parsed.

    Args:
        post_id: The id, which may come from a stranger: it is compared, and never used as a path.
        folder: The content folder; CONTENT_DIR by default.

    Raises:
        PostNotFound: no file has this id.
        BrokenPost: the only file with this id cannot be used, or several files have it.

    """
    folder = folder or settings.current().content_dir
    parsed = [file for file in _parse_folder(folder, lambda path: _may_hold(path, post_id)) if file.id == post_id]
    for file in parsed:
        if isinstance(file.outcome, Post):
            return file.outcome
        raise BrokenPost(file.outcome)
    raise PostNotFound(f"no post {post_id[:80]!r} in {folder}; write one as a .md file there, or correct the id")


def scan(folder: Path | None = None) -> Scan:
    """Read every post in the folder (CONTENT_DIR by default); a broken post does not hide the others."""
    parsed = list(_parse_folder(folder or settings.current().content_dir))
    posts = [file.outcome for file in parsed if isinstance(file.outcome, Post)]
    return Scan(
        posts=tuple(sorted(posts, key=lambda post: (post.publish_at, post.id))),
        broken={file.name: file.outcome for file in parsed if isinstance(file.outcome, str)},
    )


def due(now: datetime, folder: Path | None = None) -> Scan:
    """Read the posts that are due at `now`, and all broken ones; see `scan`."""
    everything, moment = scan(folder), post.utc(now)
    return replace(everything, posts=tuple(post for post in everything.posts if post.publish_at <= moment))


@dataclass(frozen=True)
class _ParsedFile:
    """One file: its name, the id it claims, and its post or what is wrong with it."""

    name: str
    id: str
    outcome: Post | str


def _parse_folder(folder: Path, wanted: Callable[[Path], bool] = lambda _: True) -> Iterable[_ParsedFile]:
    """Parse the wanted files of a folder; those with a post come first."""
    try:
        home = folder.resolve(strict=True)
        paths = sorted(home.iterdir())
    except OSError as error:
        why = f"{folder}: {error.strerror}; create the folder or point CONTENT_DIR at the posts"
        return [_ParsedFile(folder.name, "", why)]
    parsed = _without_duplicates([_parse(path, home) for path in paths if _is_post(path.name) and wanted(path)])
    return sorted(parsed, key=lambda file: isinstance(file.outcome, str))


def _may_hold(path: Path, post_id: str) -> bool:
    """Return whether a file can have the id: by its name, or because its text contains the id.

    YAML can spell the id with escapes, so a file that contains a backslash qualifies too.
    """
    if path.stem == post_id:
        return True
    try:
        if not path.is_file():  # a pipe would block
            return False
        with path.open("rb") as file:
            data = file.read(MAX_POST)
    except OSError:
        return False  # a file that cannot be read claims no other id than its name
    return post_id.encode(errors="surrogatepass") in data or b"\\" in data


def _is_post(name: str) -> bool:
    """Return whether a file name is that of a post; editors keep their temporary files under hidden names."""
    return name.endswith(".md") and not name.startswith(".") and name.lower() != "readme.md"


def _without_duplicates(files: list[_ParsedFile]) -> Iterator[_ParsedFile]:
    """Replace each post whose id another post has too by an error."""
    names = defaultdict(list)
    for file in files:
        if isinstance(file.outcome, Post):
            names[file.id].append(file.name)
    for file in files:
        others = ", ".join(name for name in names[file.id] if name != file.name)
        is_duplicate = others and isinstance(file.outcome, Post)
        yield replace(file, outcome=_duplicate_error(file, others)) if is_duplicate else file


def _duplicate_error(file: _ParsedFile, others: str) -> str:
    return f"{file.name}: the id {file.id!r} is also in {others}; give each file an id of its own"


def _parse(path: Path, home: Path) -> _ParsedFile:
    name, post_id = os.fsencode(path.name).decode(errors="replace"), path.stem
    try:
        header, body = post.split(_text(path, home))
        post_id = str(header.get("id", post_id))
        return _ParsedFile(name, post_id, post.build({"id": post_id, **header, "body": body}))
    except BrokenPost as error:
        return _ParsedFile(name, post_id, f"{name}: {error}")
    except (OSError, RuntimeError) as error:  # pathlib raises RuntimeError for a loop of links
        why = getattr(error, "strerror", None) or "it links to itself"
        return _ParsedFile(name, post_id, f"{name}: cannot be read: {why}; repair or remove it")


def _text(path: Path, home: Path) -> str:
    real = path.resolve(strict=True)
    if not real.is_relative_to(home):
        raise BrokenPost("is a link out of the content folder; put a copy there instead")
    if not real.is_file():
        raise BrokenPost("is not a regular file; rename or remove it")
    with real.open("rb") as file:
        data = file.read(MAX_POST + 1)
    if len(data) > MAX_POST:
        raise BrokenPost(f"is larger than {MAX_POST:,} bytes; shorten or split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenPost(f"is not UTF-8 at byte {error.start}; save it as UTF-8") from error
