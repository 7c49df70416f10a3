"""One post: its fields, and how they are read from a Markdown file with front matter."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Annotated

import yaml
from frontmatter.default_handlers import YAMLHandler
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from clients.text.words import one_line

#: Ids become file names and parts of URLs.
ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

#: Characters that XML 1.0 forbids even when escaped: one of them would make the whole feed invalid.
XML_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

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

#: Characters. There are seven short fields, and YAML parsers take quadratic time for some inputs.
MAX_HEADER = 8_000

#: Parses YAML into text, lists and mappings only.
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class BrokenPost(ValueError):
    """Raised when a post's file exists but cannot be used; the message says which file and what to change."""


def utc(value: object) -> datetime:
    """Convert a date, a time or an ISO 8601 text to an aware time in UTC; a value without a zone is in UTC.

    Raises:
        ValueError: the value is something else, such as a number, which could mean seconds or a date.

    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError("is not a date")  # noqa: TRY004 - pydantic turns only ValueError into a validation error
    try:
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("is outside the calendar") from error


def _printable(value: object) -> object:
    return XML_FORBIDDEN.sub("", value).strip() if isinstance(value, str) else value


def _not_empty(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return value


def _words(value: object) -> object:
    """Split a comma-separated text: `tags: a, b` means `tags: [a, b]`."""
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _free_id(value: str) -> str:
    if not ID.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is not an id")
    if value in RESERVED_IDS:
        raise ValueError(f"{value!r} is the name of the feed's own page; choose another id")
    return value


Text = Annotated[str, BeforeValidator(_printable), AfterValidator(_not_empty)]
Line = Annotated[Text, BeforeValidator(one_line), StringConstraints(max_length=300)]
Words = Annotated[tuple[Line, ...], BeforeValidator(_words)]
#: URLs; one of an alert service has 500 characters.
Link = Annotated[Text, BeforeValidator(one_line), StringConstraints(max_length=2_048)]
Links = Annotated[tuple[Link, ...], BeforeValidator(_words)]


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
    body: Text


def build(fields: dict[str, object]) -> Post:
    """Make a post from its front matter and body; raises BrokenPost, which names every wrong field."""
    try:
        return Post.model_validate(fields)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        raise BrokenPost(" ".join(_problem(str(each["loc"][0]), each["msg"]) for each in problems)) from None


def split(text: str) -> tuple[dict[str, object], str]:
    """Split a file's text into its front matter and its body; raises BrokenPost."""
    handler = YAMLHandler()
    text = text.strip()
    try:
        header, body = handler.split(text) if handler.detect(text) else ("", "")
    except ValueError:
        header = ""
    if not header.strip():
        raise BrokenPost("has no front matter; begin it with `---`, the fields, and `---`")
    if len(header) > MAX_HEADER:
        raise BrokenPost(f"has front matter of more than {MAX_HEADER:,} characters; move text below it")
    return _header(header), body


def _header(text: str) -> dict[str, object]:
    """Parse front matter; every scalar stays text, so `title: 2026` is a title and `tags: [no]` is not a boolean."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=LOADER)):
            raise BrokenPost("its front matter uses YAML aliases (`*name`), which can grow without end; write it out")
        header, tree = yaml.load(text, Loader=LOADER), yaml.compose(text, Loader=LOADER)  # noqa: S506 - only text
    except (yaml.YAMLError, RecursionError) as error:
        raise BrokenPost(f"its front matter is not YAML: {' '.join(str(error).split())[:300]}; correct it") from None
    if not isinstance(header, dict):
        raise BrokenPost("its front matter is not a list of `field: value` lines; correct it")
    _check_names([name.value for name, _ in tree.value] if tree else [])
    return {name: value for name, value in header.items() if value != ""}


def _check_names(names: list[str]) -> None:
    fields = [name for name in EXAMPLES if name != "body"]
    for name in names:
        if name not in fields:
            raise BrokenPost(f"unknown in its front matter: {name[:80]!r}; the fields are {', '.join(fields)}")
        if names.count(name) > 1:
            raise BrokenPost(f"has {name!r} twice in its front matter; keep one of them")


def _problem(name: str, message: str) -> str:
    return f"{name}: {message.removeprefix('Value error, ')}; write `{EXAMPLES[name]}`."
