"""Read the sources that `content/sources.toml` lists for the agents.

A URL may lead to any public address. Private addresses are refused, because strangers decide what a name resolves to and
where a feed redirects, with two exceptions that the owner writes down: a literal address such as
`http://127.0.0.1:9000/feed.xml`, and a name whose source says `private = true`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urljoin, urlsplit

from requests import RequestException, Response

import settings
from clients import http
from clients.http.public_only import is_ip_address
from clients.source_listing import Source, check_url, listed
from clients.text import charsets
from gatekeeper.errors import NotApplied
from gatekeeper.redact import clean, describe

#: Bytes. A feed or a table of numbers is far smaller.
MAX_SOURCE = 2 * 1024 * 1024
#: Feeds move to other URLs; a redirect loop ends here.
MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Seconds for one source, and for all sources of one run.
MAX_SOURCE_SECONDS, MAX_TOTAL_SECONDS = 10.0, 45.0
#: How many broken sources are reported, and in how many characters each: together they fit one fact.
MAX_ERRORS, MAX_ERROR_LENGTH = 30, 300

HEADERS = {"User-Agent": "gatehouse (feed reader)", "Accept": "application/atom+xml, application/rss+xml, */*;q=0.5"}


class BrokenSource(Exception):
    """Raised when a source cannot be read or used; the message says why."""


@dataclass(frozen=True)
class Document:
    """The contents of a source.

    Attributes:
        source: The source's name.
        data: The bytes; never empty.
        url: Where they came from after all redirects; empty for a file.
        content_type: The Content-Type header; empty for a file.

    """

    source: str
    data: bytes
    url: str = ""
    content_type: str = ""


Part = TypeVar("Part")


@dataclass(frozen=True)
class Parsed(Generic[Part]):
    """The usable parts of one document, and in words what of it was left out and why."""

    parts: Sequence[Part]
    left_out: str = ""


@dataclass(frozen=True)
class ReadResult(Generic[Part]):
    """The usable parts of all sources of a section; by name, why a source is `broken`, and what was `left_out` of one."""

    parts: tuple[Part, ...]
    broken: dict[str, str]
    left_out: dict[str, str]
    sources: int  #: how many were listed and usable


def read_all(section: str, parse: Callable[[Document], Parsed[Part]]) -> ReadResult[Part]:
    """Read and parse every source of a section within MAX_TOTAL_SECONDS; a broken source does not stop the others.

    Args:
        section: One of `source_listing.SECTIONS`.
        parse: Makes parts from a document; raises BrokenSource if it has none that can be used.

    """
    listing, deadline = listed(section), time.monotonic() + MAX_TOTAL_SECONDS
    parts: list[Part] = []
    broken, left_out = dict(listing.broken), dict[str, str]()
    for source in listing.sources:
        try:
            if time.monotonic() > deadline:
                raise BrokenSource("was not read in time")
            if document := read(source, deadline):
                parsed = parse(document)
                parts += parsed.parts
                left_out[source.name] = parsed.left_out
        except BrokenSource as error:
            broken[source.name] = str(error)
        except Exception as error:  # noqa: BLE001 - a parser can fail in any way on untrusted input
            broken[source.name] = f"cannot be understood: {describe(error)}"
    return ReadResult(tuple(parts), reported(broken), reported(left_out), len(listing.sources))


def reported(reasons: Mapping[str, str]) -> dict[str, str]:
    """Return the reasons that are not empty, without secrets, and as short and as few as fit one fact."""
    told = {name: clean(why)[:MAX_ERROR_LENGTH] for name, why in reasons.items() if why}
    if len(told) <= MAX_ERRORS:
        return told
    rest = {f"{len(told) - MAX_ERRORS} more": f"are not listed; repair the first {MAX_ERRORS} sources"}
    return dict(list(told.items())[:MAX_ERRORS]) | rest


def read(source: Source, deadline: float) -> Document | None:
    """Read a source.

    Args:
        source: The source.
        deadline: When to give up, as a value of `time.monotonic()`.

    Returns:
        What it holds, or None for a file below PUBLIC_DIR that does not exist yet.

    Raises:
        BrokenSource: the source cannot be read, is empty, or is larger than MAX_SOURCE.

    """
    here = settings.current()
    if source.url is not None:
        return _fetch(source, min(deadline, time.monotonic() + MAX_SOURCE_SECONDS))
    if source.public is not None:
        path = here.public_dir / source.public
        return _read_file(source, path, f"{here.public_url}/{source.public}") if path.exists() else None
    return _read_file(source, here.content_dir / (source.file or ""))


def _read_file(source: Source, path: Path, url: str = "") -> Document:
    if not path.is_file():
        raise BrokenSource(f"there is no file {path}")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SOURCE + 1)
    except OSError as error:
        raise BrokenSource(f"{path}: {error.strerror}") from None
    return Document(source.name, _checked(data, f"{path} is empty"), url)


def _fetch(source: Source, deadline: float) -> Document:
    url, own_host = str(source.url), urlsplit(str(source.url)).hostname or ""
    for _ in range(1 + MAX_REDIRECTS):
        host = urlsplit(url).hostname or ""
        is_literal = host == "localhost" or is_ip_address(host)  # no name server decides where it leads
        may_be_private = host == own_host and (source.private or is_literal)
        response = _get(url, deadline, public_only=not may_be_private)
        if response.status_code not in REDIRECTS:
            if not response.ok:
                raise BrokenSource(f"{url} answered {response.status_code}")
            data = _checked(response.content, f"{url} answered {response.status_code} with an empty body")
            return Document(source.name, data, str(response.url), response.headers.get("Content-Type", ""))
        url = _redirected(url, response.headers.get("Location", ""))
    raise BrokenSource(f"{source.url} redirects more than {MAX_REDIRECTS} times")


def _get(url: str, deadline: float, *, public_only: bool) -> Response:
    left = deadline - time.monotonic()
    if left <= 0:
        raise BrokenSource("was not read in time")
    try:
        return http.request("GET", url, timeout=left, public_only=public_only, headers=HEADERS)
    except (RequestException, NotApplied) as error:
        raise BrokenSource(describe(error)) from None


def _redirected(url: str, location: str) -> str:
    """Return where a redirect leads. Servers send raw UTF-8 in a header, which Python reads as Latin-1."""
    if not location.strip():
        raise BrokenSource(f"{url} answered with a redirect that does not say where to; correct the URL")
    target = urljoin(url, charsets.decode(location.encode("latin-1", "replace")))
    try:
        check_url(target)
    except ValueError as error:
        raise BrokenSource(f"{url} redirects to a URL that is not read: {error}") from None
    return target


def _checked(data: bytes, if_empty: str) -> bytes:
    if len(data) > MAX_SOURCE:
        raise BrokenSource(f"is larger than {MAX_SOURCE:,} bytes")
    if not data.strip():
        raise BrokenSource(if_empty)
    return data
