"""One post: its fields, and what they may hold."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, time
from email.utils import parsedate_to_datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from clients.content.front_matter import BrokenPost, split
from clients.text import source
from clients.text.words import clean, one_line

__all__ = ["ID", "BrokenPost", "Post", "build", "split", "utc"]

#: Ids become file names and parts of URLs.
ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

#: `posts/index.html` lists all posts.
RESERVED_IDS = frozenset({"index"})

#: An example of each field, shown when a field is wrong.
EXAMPLES = {
    "id": "id: my-post (a-z, 0-9, - and _, at most 64)",
    "title": "title: One line of text",
    "publish_at": "publish_at: 2026-11-01T09:00:00Z",
    "destinations": "destinations: [feed]",
    "tags": "tags: [agents, retries]",
    "made_by": "made_by: rules",
    "sources": "sources: [https://example.org/a-page]",
    "source_ids": "source_ids: [1f3870be274f6c49]",
    "body": "Markdown below the front matter",
}

#: Characters of a title or a tag, and of a source: the URL of an alert service has 500.
MAX_LINE, MAX_LINK = 300, 2_048

#: Other forms of dates than ISO 8601, without a time.
_DATE_FORMS = ("%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y")


def utc(value: object) -> datetime:
    """Convert a date, a time or a text to an aware time in UTC; a value without a zone is in UTC.

    Texts are in ISO 8601, as Jekyll writes it too (`2026-1-2 09:00:00 +0100`), as in mail, or like `2 January 2026`.

    Raises:
        ValueError: the value is something else, such as a number, which could mean seconds or a date.

    """
    if isinstance(value, str):
        value = _parsed(value.strip())
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError("is not a date")  # noqa: TRY004 - pydantic turns only ValueError into a validation error
    try:
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("is outside the calendar") from error


def _parsed(text: str) -> datetime:
    """Parse a date in one of the forms of `utc`; the error of a text that has none is that of ISO 8601."""
    iso = re.sub(r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)", lambda m: f"{m[1]}-{m[2]:0>2}-{m[3]:0>2}", text)
    iso = re.sub(r"(?<=[ T])(?=\d:)", "0", re.sub(r"\s+(?=[+-]\d\d:?\d\d$)", "", iso))
    iso = re.sub(r"\s*(?:UTC|GMT|Z)$", "+00:00", iso)
    try:
        return datetime.fromisoformat(iso)
    except ValueError as error:
        for form in _DATE_FORMS:
            with suppress(ValueError):
                return datetime.strptime(text, form)  # noqa: DTZ007 - `utc` adds the zone
        with suppress(ValueError):
            mailed = parsedate_to_datetime(text)
            if mailed.tzinfo:  # without one, its zone is not known
                return mailed
        raise ValueError(str(error).replace(repr(iso), repr(text))) from None


def _markdown(value: object) -> object:
    """Return Markdown without comments, control characters and empty lines around it; indentation means code."""
    if not isinstance(value, str):
        return value
    text = source.without_comments(re.sub(r"\r\n?", "\n", clean(value)))
    return re.sub(r"\A(?:[^\S\n]*\n)+", "", text).rstrip()


def _line(value: object) -> object:
    """Return a text on one line, without comments and control characters."""
    if not isinstance(value, str):
        return value
    text = str(one_line(clean(value)))
    while (kept := source.COMMENT.sub("", text)) != text:
        text = kept
    return one_line(text)


def _not_empty(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return value


def _at_most(length: int) -> AfterValidator:
    def check(value: str) -> str:
        if len(value) > length:
            raise ValueError(f"has {len(value):,} characters, of which {length:,} are allowed; shorten it")
        return value

    return AfterValidator(check)


def _words(value: object) -> object:
    """Split a comma-separated text: `tags: a, b` means `tags: [a, b]`."""
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _free_id(value: str) -> str:
    if not ID.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not an id")
    if value in RESERVED_IDS:
        raise ValueError(f"{value!r} is the name of the feed's own page; choose another id")
    return value


Markdown = Annotated[str, BeforeValidator(_markdown), AfterValidator(_not_empty)]
OneLine = Annotated[str, BeforeValidator(_line), AfterValidator(_not_empty)]
Line = Annotated[OneLine, _at_most(MAX_LINE)]
Words = Annotated[tuple[Line, ...], BeforeValidator(_words)]
Links = Annotated[tuple[Annotated[OneLine, _at_most(MAX_LINK)], ...], BeforeValidator(_words)]


class Post(BaseModel):
    """One post as its author wrote it.

    Attributes:
        id: The post's name in file names and URLs.
        title: One line.
        publish_at: When it is due, in UTC.
        destinations: Where it goes; empty for every destination in PUBLISH_TO.
        tags: Its tags.
        made_by: Which model or rules wrote a draft; None for a person's post.
        sources: The URLs that a draft is based on.
        source_ids: The ids of the feed items behind them, by which the writer knows that they are drafted.
        body: Markdown.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, AfterValidator(_free_id)]
    title: Line
    publish_at: Annotated[datetime, BeforeValidator(utc)]
    destinations: Words = ()
    tags: Words = ()
    made_by: Line | None = None
    sources: Links = ()
    source_ids: Words = ()
    body: Markdown


def build(fields: dict[str, object]) -> Post:
    """Make a post from its front matter and body; raises BrokenPost, which names every wrong field."""
    try:
        return Post.model_validate(fields)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        raise BrokenPost(" ".join(_problem(str(each["loc"][0]), each["msg"]) for each in problems)) from None


def _problem(name: str, message: str) -> str:
    message = message.removeprefix("Value error, ").replace("Input should be a valid tuple", "is not a list")
    return f"{name}: {message}." if "; " in message else f"{name}: {message}; write `{EXAMPLES[name]}`."
