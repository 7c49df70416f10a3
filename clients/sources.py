"""What agents read: the files and addresses that `content/sources.toml` lists, told apart from those that are broken.

An address may lead anywhere on the internet, and nowhere else: what a feed redirects to, and what a name resolves to, is
decided by strangers. Inside this machine and its network only those addresses are reached that the owner wrote down:
a literal one such as `http://127.0.0.1:9000/feed.xml`, or a name whose source says `private = true`.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Generic, TypeVar
from urllib.parse import urljoin, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError, model_validator
from requests import RequestException, Response

import settings
from clients import http
from clients.http.deadline import BoundedAdapter
from clients.http.public_only import PublicAdapter, is_literal
from gatekeeper.errors import NotApplied
from gatekeeper.redact import clean, describe

LISTING = "sources.toml"
#: The sections of the listing: who reads what it lists.
SECTIONS = ("writer", "analyst")
#: Bytes. A feed or a table of numbers is far smaller, and parsers take time by the size.
MAX_SOURCE = 2 * 1024 * 1024
#: Feeds move house; a circle of redirects ends here.
MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Seconds one source may take, and all sources of one run together.
MAX_SOURCE_SECONDS, MAX_TOTAL_SECONDS = 10.0, 45.0
#: How many broken sources are told, and in how many characters each: together they fit one fact.
MAX_ERRORS, MAX_ERROR_LENGTH = 30, 300

HEADERS = {"User-Agent": "gatehouse (feed reader)", "Accept": "application/atom+xml, application/rss+xml, */*;q=0.5"}


class BrokenSource(Exception):
    """Raised when a source cannot be read or used; says why."""


def _stripped(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value


class Source(BaseModel):
    """One entry of the listing: a `file` beside it, a `public` file of our own making, or a `url`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, BeforeValidator(_stripped), StringConstraints(min_length=1, max_length=100)]
    file: Path | None = None
    public: Path | None = None
    url: str | None = None
    private: bool = False

    @model_validator(mode="after")
    def _says_where(self) -> Source:
        if sum(place is not None for place in (self.file, self.public, self.url)) != 1:
            raise ValueError("needs exactly one of: file, public, url")
        if self.url is not None:
            _check(self.url)
        return self


@dataclass(frozen=True)
class Listing:
    """The usable sources of one section, and `broken`: name to what is wrong."""

    sources: tuple[Source, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)


Part = TypeVar("Part")


@dataclass(frozen=True)
class ReadResult(Generic[Part]):
    """What all sources of a section gave, and `broken`: name to what is wrong."""

    parts: tuple[Part, ...]
    broken: dict[str, str]
    sources: int  #: how many were listed and usable


def read_all(section: str, parse: Callable[[bytes, str], list[Part]]) -> ReadResult[Part]:
    """Read every source of a section; `parse` makes parts of the bytes and the name. A broken source never stops the others."""
    listing, deadline = listed(section), time.monotonic() + MAX_TOTAL_SECONDS
    parts, broken = [], dict(listing.broken)
    for source in listing.sources:
        try:
            if time.monotonic() > deadline:
                raise BrokenSource("was not read in time")
            parts += parse(read(source, deadline), source.name)
        except BrokenSource as error:
            broken[source.name] = str(error)
        except Exception as error:  # noqa: BLE001 - parsers meet here what nobody thought of
            broken[source.name] = f"cannot be understood: {describe(error)}"
    told = {name: clean(why)[:MAX_ERROR_LENGTH] for name, why in list(broken.items())[:MAX_ERRORS]}
    return ReadResult(tuple(parts), told, len(listing.sources))


def listed(section: str, folder: Path | None = None) -> Listing:
    """The sources of a section of `content/sources.toml`; a wrong entry never hides the others."""
    path = (folder or settings.current().content_dir) / LISTING
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Listing(broken={LISTING: f"there is no {path}; list what to read in it"})
    except RecursionError:
        return Listing(broken={LISTING: "cannot be read: it is nested too deep; correct it"})
    except (OSError, ValueError) as error:
        return Listing(broken={LISTING: f"cannot be read: {error}; correct it"})
    found, broken = [], _strangers(tables)
    entries = tables.get(section, [])
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries], 1):
        name = f"{section} {number}"
        try:
            found.append(Source.model_validate(entry))
        except ValidationError as error:
            broken[name] = "; ".join(_in_words(problem["loc"], problem["msg"]) for problem in error.errors())
    return Listing(tuple(_without_twins(found, broken)), broken)


def read(source: Source, deadline: float) -> bytes:
    """The source's bytes, before `deadline` (of `time.monotonic()`); raises BrokenSource."""
    here = settings.current()
    if source.url is not None:
        return _fetch(source, min(deadline, time.monotonic() + MAX_SOURCE_SECONDS))
    if source.public is not None:
        path = here.public_dir / source.public
        return _read_file(path) if path.exists() else b""  # nothing was published yet
    return _read_file(here.content_dir / (source.file or ""))


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise BrokenSource(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            return _bounded(file.read(MAX_SOURCE + 1))
    except OSError as error:
        raise BrokenSource(f"{path}: {error.strerror}") from None


def _fetch(source: Source, deadline: float) -> bytes:
    url, own_host = str(source.url), urlsplit(str(source.url)).hostname or ""
    for _ in range(1 + MAX_REDIRECTS):
        host = urlsplit(url).hostname or ""
        meant = host == own_host and (source.private or is_literal(host))
        answer = _get(url, deadline, BoundedAdapter if meant else PublicAdapter)
        if answer.status_code not in REDIRECTS:
            if not answer.ok:
                raise BrokenSource(f"{url} answered {answer.status_code}")
            return _bounded(answer.content)
        url = _moved(url, answer.headers.get("Location", ""))
    raise BrokenSource(f"{source.url} redirects more than {MAX_REDIRECTS} times")


def _get(url: str, deadline: float, adapter: type[BoundedAdapter]) -> Response:
    left = deadline - time.monotonic()
    if left <= 0:
        raise BrokenSource("was not read in time")
    try:
        return http.request("GET", url, timeout=left, adapter=adapter, headers=HEADERS)
    except (RequestException, NotApplied) as error:
        raise BrokenSource(describe(error)) from None


def _moved(url: str, location: str) -> str:
    target = urljoin(url, location)
    try:
        _check(target)
    except ValueError as error:
        raise BrokenSource(f"{url} redirects to where nothing is read: {error}") from None
    return target


def _check(url: str) -> None:
    """Raise ValueError for what is no address on the web."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url[:200]!r} is no http or https address")
    if parts.username or parts.password:
        raise ValueError("an address with a user or a password in it would be shown in logs; remove them")


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_SOURCE:
        raise BrokenSource(f"is larger than {MAX_SOURCE:,} bytes")
    return data


def _strangers(tables: dict[str, object]) -> dict[str, str]:
    return {
        name: f"no agent reads [[{name}]]; the sections are: {', '.join(SECTIONS)}"
        for name in tables
        if name not in SECTIONS
    }


def _without_twins(sources: list[Source], broken: dict[str, str]) -> list[Source]:
    """The first of each name; what is told about a source needs a name that means one of them."""
    named = {source.name: source for source in reversed(sources)}
    for source in sources:
        if named[source.name] is not source:
            broken[source.name] = "is the name of two sources; give each its own"
    return [source for source in sources if named[source.name] is source]


def _in_words(place: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, place))}: {message}".removeprefix(": ").replace("Value error, ", "")
