"""Read the posts to publish: the Markdown files below `content/`, read again on each call.

Folders of Jekyll and Hugo can be read as they are; `clients.content.imported` has their rules.
"""

from __future__ import annotations

import codecs
import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import settings
from clients.content import imported, post
from clients.content.front_matter import BrokenPost
from clients.content.imported import Skipped
from clients.content.post import Post

#: Bytes. A long novel is under 1 MB of text; a larger file is in this folder by mistake.
MAX_POST = 1_000_000

#: Files. A folder with more is not one of posts, such as a home directory.
MAX_FILES = 10_000

MARKDOWN = frozenset({".md", ".markdown", ".mdown", ".mdwn", ".mkd", ".mkdn", ".mkdown"})
#: Formats in which Jekyll and Hugo take posts too; HTML and plain text are a post only with front matter.
OTHER_FORMATS = frozenset({".adoc", ".asciidoc", ".mdx", ".org", ".pandoc", ".rmd", ".rst", ".textile"})
WITH_FRONT_MATTER = frozenset({".htm", ".html", ".text", ".txt"})
#: The writer's drafts; `tasks.writer` lists them.
DRAFTS = "drafts"


class PostNotFound(LookupError):
    """Raised when no file in the content folder has the post's id."""


@dataclass(frozen=True)
class Scan:
    """The content of the folder.

    Attributes:
        posts: The posts, oldest `publish_at` first.
        broken: What is wrong with each other file, by its name.
        skipped: Why a file is not to be published, such as a draft, by its name.
        files: The name of each post's file, relative to the folder, by the post's id.

    """

    posts: tuple[Post, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def load(post_id: str, folder: Path | None = None) -> Post:
    """Return the post with this id. Only files that can hold the id are parsed.

    Args:
        post_id: The id, which may come from a stranger: it is compared, and never used as a path.
        folder: The content folder; CONTENT_DIR by default.

    Raises:
        PostNotFound: no file has this id.
        BrokenPost: the only file with this id cannot be used or is not to be published, or several files have it.

    """
    folder = folder or settings.current().content_dir
    parsed = [
        file for file in _parse_folder(folder, lambda home, name: _may_hold(home, name, post_id)) if file.id == post_id
    ]
    for file in parsed:
        if isinstance(file.outcome, Post):
            return file.outcome
        raise file.outcome
    raise PostNotFound(f"no post {post_id[:80]!r} in {folder}; write one as a .md file there, or correct the id")


def scan(folder: Path | None = None) -> Scan:
    """Read every post in the folder (CONTENT_DIR by default); a broken post does not hide the others."""
    parsed = list(_parse_folder(folder or settings.current().content_dir))
    posts = [file.outcome for file in parsed if isinstance(file.outcome, Post)]
    return Scan(
        posts=tuple(sorted(posts, key=lambda post: (post.publish_at, post.id))),
        broken={file.name: str(file.outcome) for file in parsed if type(file.outcome) is BrokenPost},
        skipped={file.name: str(file.outcome) for file in parsed if isinstance(file.outcome, Skipped)},
        files={file.outcome.id: file.name for file in parsed if isinstance(file.outcome, Post)},
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
    outcome: Post | BrokenPost


def _told(name: Path, why: str, kind: type[BrokenPost] = BrokenPost, post_id: str = "") -> _ParsedFile:
    """Return a file, or a folder, of which nothing is published, with the reason."""
    return _ParsedFile(_shown(name), post_id, kind(f"{_shown(name)}: {why}"))


def _shown(name: Path) -> str:
    return os.fsencode(name).decode(errors="replace")


def _parse_folder(folder: Path, wanted: Callable[[Path, Path], bool] = lambda *_: True) -> list[_ParsedFile]:
    """Parse the wanted files of a folder, given as the folder and a name in it; those with a post come first."""
    told: list[_ParsedFile] = []
    try:
        home = folder.resolve(strict=True)
        names = [name for name in _names(home, told) if wanted(home, name)]
    except OSError as error:
        why = f"{folder}: {error.strerror}; create the folder or point CONTENT_DIR at the posts"
        return [_ParsedFile(folder.name, "", BrokenPost(why))]
    parsed = [*_without_duplicates([_parse(home, name) for name in names]), *told]
    return sorted(parsed, key=lambda file: not isinstance(file.outcome, Post))


def _names(home: Path, told: list[_ParsedFile]) -> Iterator[Path]:
    """Yield the files that may be posts, relative to the folder; add the folders that are not read to `told`."""
    seen = 0

    def unreadable(error: OSError) -> None:
        if Path(error.filename) == home:
            raise error
        name = Path(error.filename).relative_to(home)
        told.append(_told(name, f"cannot be read: {error.strerror}; repair or remove it"))

    for top, folders, files in os.walk(home, onerror=unreadable):
        here = Path(top).relative_to(home)
        told += _unread(home, here, folders)
        folders[:] = sorted(name for name in folders if _is_read(here, name) and not (home / here / name).is_symlink())
        seen += len(files)
        if seen > MAX_FILES:
            why = f"holds more than {MAX_FILES:,} files, of which the rest are not read; point CONTENT_DIR at posts"
            told.append(_told(Path(home.name), why))
            return
        # A folder that is named like a post is told as one.
        yield from (here / name for name in sorted({*files, *folders}) if _is_post(home / here / name))


def _is_read(here: Path, name: str) -> bool:
    """Return whether a folder is read; Jekyll and Hugo have other things than posts in those that are not."""
    is_ours = here == Path() and name == DRAFTS
    is_special = name.startswith("_") and name not in {"_posts", "_drafts"}
    return not (is_ours or is_special or name.startswith(".") or name == "node_modules")


def _unread(home: Path, here: Path, folders: Iterable[str]) -> Iterator[_ParsedFile]:
    """Yield each folder that is not read although it may hold posts."""
    for name in sorted(folders):
        path = home / here / name
        if _is_read(here, name) and path.is_symlink():
            yield _told(here / name, "is a link to a folder, which is not followed; put a copy there instead")
        elif name.startswith("_") and not _is_read(here, name) and any(map(_is_post, path.rglob("*"))):
            why = "folders whose names begin with _ are not read; move its posts to publish them"
            yield _told(here / name, why, Skipped)


def _may_hold(home: Path, name: Path, post_id: str) -> bool:
    """Return whether a file can have the id: by its name, or because its text contains the id.

    A file with a slug, whose spelling differs, or with a backslash, with which YAML can spell the id, qualifies too.
    """
    if imported.default_id(name) == post_id:
        return True
    data = _beginning(home / name, MAX_POST)
    return post_id.encode(errors="surrogatepass") in data or b"\\" in data or b"slug" in data.lower()


def _beginning(path: Path, size: int) -> bytes:
    """Return the beginning of a file; nothing of one that cannot be read, or of a pipe, which would block."""
    try:
        with path.open("rb") if path.is_file() else io.BytesIO() as file:
            return file.read(size)
    except OSError:
        return b""


def _is_post(path: Path) -> bool:
    """Return whether a file is named like a post; editors keep their temporary files under hidden names."""
    suffix = path.suffix.lower()
    if path.name.startswith(".") or path.stem.lower() == "readme":
        return False
    if suffix in WITH_FRONT_MATTER:
        return _beginning(path, 8).removeprefix(codecs.BOM_UTF8).startswith((b"---", b"+++"))
    return suffix in MARKDOWN | OTHER_FORMATS


def _without_duplicates(files: list[_ParsedFile]) -> Iterator[_ParsedFile]:
    """Replace each post whose id another post has too by an error."""
    names = defaultdict(list)
    for file in files:
        if isinstance(file.outcome, Post):
            names[file.id].append(file.name)
    for file in files:
        others = ", ".join(name for name in names[file.id] if name != file.name)[:300]
        is_duplicate = others and isinstance(file.outcome, Post)
        why = f"{file.name}: the id {file.id!r} is also in {others}; give each file an id of its own"
        yield replace(file, outcome=BrokenPost(why)) if is_duplicate else file


def _parse(home: Path, name: Path) -> _ParsedFile:
    post_id = imported.default_id(name)
    try:
        if name.suffix.lower() not in MARKDOWN:
            raise BrokenPost("is not Markdown; write it as Markdown in a `.md` file, or remove it")
        header, body = post.split(_text(home / name, home))
        post_id = str(header.get("id") or post_id)
        fields = imported.adapt(header, body, name)
        post_id = str(fields["id"])
        return _ParsedFile(_shown(name), post_id, post.build({**fields, "body": body}))
    except BrokenPost as error:
        return _told(name, str(error), type(error), post_id)
    except (OSError, RuntimeError) as error:  # pathlib raises RuntimeError for a loop of links
        why = getattr(error, "strerror", None) or "it links to itself"
        return _told(name, f"cannot be read: {why}; repair or remove it", post_id=post_id)


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
