"""The sources that `content/sources.toml` lists for the agents: each a file in the content folder, a file in the public folder, or a URL."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

import settings
from clients.text.words import OneLine

LISTING = "sources.toml"
#: The sections of the listing, one per agent that reads sources.
SECTIONS = ("writer", "analyst")


class Source(BaseModel):
    """One entry of the listing: a `file` in the content folder, a file in the `public` folder, or a `url`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[OneLine, StringConstraints(min_length=1, max_length=100)]
    file: Path | None = None
    public: Path | None = None
    url: str | None = None
    private: bool = False

    @model_validator(mode="after")
    def _says_where(self) -> Source:
        if sum(place is not None for place in (self.file, self.public, self.url)) != 1:
            raise ValueError("needs exactly one of: file, public, url")
        if self.url is not None:
            check_url(self.url)
        return self


@dataclass(frozen=True)
class Listing:
    """The usable sources of one section, and `broken`, the error by name."""

    sources: tuple[Source, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)


def listed(section: str, folder: Path | None = None) -> Listing:
    """Return the sources of a section of `content/sources.toml`; a wrong entry does not hide the others."""
    path = (folder or settings.current().content_dir) / LISTING
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Listing(broken={LISTING: f"there is no {path}; list what to read in it"})
    except RecursionError:
        return Listing(broken={LISTING: "cannot be read: it is nested too deep; correct it"})
    except (OSError, ValueError) as error:
        return Listing(broken={LISTING: f"cannot be read: {error}; correct it"})
    found, broken = [], _unknown_sections(tables)
    entries = tables.get(section, [])
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries], 1):
        name = f"{section} {number}"
        try:
            found.append(Source.model_validate(entry))
        except ValidationError as error:
            broken[name] = "; ".join(_in_words(problem["loc"], problem["msg"]) for problem in error.errors())
    return Listing(tuple(_without_duplicates(found, broken)), broken)


def check_url(url: str) -> None:
    """Raise ValueError unless this is a web URL without credentials."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url[:200]!r} is not an http or https URL")
    if parts.username or parts.password:
        raise ValueError("a URL with a user or a password in it would appear in logs; remove them")


def _unknown_sections(tables: dict[str, object]) -> dict[str, str]:
    return {
        name: f"no agent reads [[{name}]]; the sections are: {', '.join(SECTIONS)}"
        for name in tables
        if name not in SECTIONS
    }


def _without_duplicates(sources: list[Source], broken: dict[str, str]) -> list[Source]:
    """Keep the first source of each name, and report the others in `broken`."""
    first = {source.name: source for source in reversed(sources)}
    for source in sources:
        if first[source.name] is not source:
            broken[source.name] = "is the name of two sources; give each its own"
    return [source for source in sources if first[source.name] is source]


def _in_words(place: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, place))}: {message}".removeprefix(": ").replace("Value error, ", "")
