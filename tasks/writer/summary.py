"""A digest of feed items: the question to a model, and the text that rules write without one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator

from clients.llm.fallback import Question
from clients.text import markdown
from clients.text.words import OneLine, capitalized, counted, listed
from tasks.writer.feed_items import FeedItem, first_sentences

#: Characters of an item's text that a digest quotes.
MAX_QUOTE = 320

SYSTEM = """\
You draft one short post for a blog about running AI agents in production. Its readers are engineers.
You get a JSON list of items from feeds. Say what each is about and why it matters to somebody who runs agents; connect
them where they belong together. Plain sentences, no hype, no greeting.
- title: one line, without a link.
- summary: two or three plain sentences on what the reader gets.
- body: Markdown with a `##` heading per item or theme. Link each item with its own `link`; link to nothing else.
Claim nothing that the items do not say. A list of sources is added below your text; do not write one."""

_BARE_URL = re.compile(r"(?i)\b(?:[a-z][a-z0-9+.-]{0,30}://|www\.)[^\s<>()\[\]\"'`]+")


class Digest(BaseModel):
    """The text of a draft; `body` is Markdown."""

    model_config = ConfigDict(frozen=True)

    title: OneLine
    summary: OneLine
    body: str


def question(items: Sequence[FeedItem]) -> Question[Digest]:
    """Return the question for a digest; the items are its material, which is untrusted text."""
    shown = [
        {"title": i.title, "source": i.source, "date": _day(i), "link": i.link, "text": i.text} for i in items
    ]  # fmt: skip
    material = json.dumps(shown, ensure_ascii=False, indent=1)
    return Question(SYSTEM, material, _schema(frozenset(item.host for item in items)))


def _schema(hosts: frozenset[str]) -> type[Digest]:
    """Return the schema of a model's digest: lengths are limited, and links may lead to the items' hosts only."""

    class ModelDigest(Digest):
        title: Annotated[OneLine, StringConstraints(min_length=8, max_length=120)]
        summary: Annotated[OneLine, StringConstraints(min_length=40, max_length=600)]
        body: Annotated[str, StringConstraints(min_length=200, max_length=8_000, strip_whitespace=True)]

        @field_validator("title", "summary", "body")
        @classmethod
        def _links_lead_to_the_items(cls, text: str) -> str:
            strange = sorted(_hosts(text) - hosts)
            if strange:
                raise ValueError(f"links to {', '.join(strange)[:100]}, where no item is")
            return text

    return ModelDigest


def _hosts(text: str) -> set[str]:
    """Return the hosts of all links and bare URLs in a text; a URL without a host stands for itself."""
    urls = [*markdown.links(text), *_BARE_URL.findall(text)]
    return {_host(url if "://" in url or url.startswith("mailto:") else f"http://{url}") for url in urls}


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    is_plain = parts.scheme in {"http", "https"} and "@" not in parts.netloc
    return (parts.hostname or url) if is_plain else url


def by_rules(items: Sequence[FeedItem]) -> Digest:
    """Write a digest without a model: each item's title, link, source and first sentences."""
    body = "\n\n".join(_section(item) for item in items)
    return Digest(title=_title(items), summary=_summary(items), body=body)


def raw(items: Sequence[FeedItem]) -> Digest:
    """Return a plain list of the items."""
    return Digest(title=_title(items), summary=_summary(items), body=references(items))


def references(items: Sequence[FeedItem]) -> str:
    """Return the links of the items as a Markdown list."""
    return "\n".join(f"- {_link(item)}, {_origin(item)}" for item in items)


def _title(items: Sequence[FeedItem]) -> str:
    first = markdown.shorten(items[0].title, 90)
    return first if len(items) == 1 else f"{first}, and {len(items) - 1} more worth reading"


def _summary(items: Sequence[FeedItem]) -> str:
    names = [markdown.escape(name) for name in dict.fromkeys(item.source for item in items)]
    pieces = capitalized(counted(len(items), "piece", "pieces"))
    return f"{pieces} from {listed(names)}, newest first, each in its own words."


def _section(item: FeedItem) -> str:
    quoted = markdown.escape(first_sentences(item.text, MAX_QUOTE))
    return f"## {_link(item)}\n\n*{_origin(item)}*" + (f"\n\n> {quoted}" if quoted else "")


def _link(item: FeedItem) -> str:
    return f"[{markdown.escape(item.title)}](<{item.link}>)"


def _origin(item: FeedItem) -> str:
    return ", ".join(part for part in (markdown.escape(item.source), _day(item)) if part)


def _day(item: FeedItem) -> str:
    return f"{item.date.day} {item.date:%B %Y}" if item.date else ""
