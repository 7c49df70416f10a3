"""`/words`: what each word and state of the desk means, from the same files as the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.responses import Response
from starlette.routing import BaseRoute

from web.desk import door
from web.desk.visit import Visit

#: Copies of the pages in docs/, because a package has no docs/; a test keeps them equal.
SOURCES = [Path(__file__).with_name(name) for name in ("desk-words.md", "glossary.md")]

_ROW = re.compile(r"\| *(?P<word>[^|]+?) *\| *(?P<means>.+?) *\|")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_MARKED = re.compile(r"`([^`]*)`|\*([^*]+)\*")


@dataclass(frozen=True)
class Part:
    """A piece of a meaning: plain text, or code, or a stressed word."""

    text: str
    kind: str = ""  #: "code", "em" or ""


@dataclass(frozen=True)
class Word:
    """One word and what it means."""

    name: str
    means: tuple[Part, ...]

    @property
    def id(self) -> str:
        """Its anchor in the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Chapter:
    """One table of words with its heading."""

    title: str
    words: tuple[Word, ...]


def routes() -> list[BaseRoute]:
    """Return the route of the words."""
    return [door.page("/words", show)]


def show(visit: Visit) -> Response:
    """Show every word."""
    return visit.render("words.html", current="words", chapters=chapters())


@cache
def chapters() -> tuple[Chapter, ...]:
    """Return the tables of both pages."""
    return tuple(chapter for source in SOURCES for chapter in _chapters(source.read_text("utf-8")))


def _chapters(text: str) -> Iterator[Chapter]:
    for block in re.split(r"^#+ ", text, flags=re.MULTILINE)[1:]:
        title, _, body = block.partition("\n")
        rows = [_ROW.fullmatch(line.strip()) for line in body.splitlines()]
        words = [(row["word"].strip("`"), row["means"]) for row in rows if row and not row["word"].startswith("--")]
        if words:  # the first row is the head of the table
            yield Chapter(title.strip(), tuple(Word(name, tuple(_parts(means))) for name, means in words[1:]))


def _parts(means: str) -> Iterator[Part]:
    text, at = _LINK.sub(r"\1", means), 0
    for marked in _MARKED.finditer(text):
        yield Part(text[at : marked.start()])
        yield Part(marked[1], "code") if marked[1] is not None else Part(marked[2], "em")
        at = marked.end()
    yield Part(text[at:])
