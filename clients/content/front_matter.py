"""Read the front matter of a post: YAML between `---` lines, or TOML between `+++` lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import yaml
from frontmatter.default_handlers import BaseHandler, YAMLHandler

from clients.text.words import clean

#: Characters. Posts have few short fields, and YAML parsers take quadratic time for some inputs.
MAX_HEADER = 8_000

#: The fields of a post that its front matter may have.
FIELDS = ("id", "title", "publish_at", "destinations", "tags", "made_by", "sources", "source_ids")

#: Those that are lists.
LISTS = frozenset({"destinations", "tags", "sources", "source_ids"})

#: Parses YAML into text, lists and mappings only.
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

#: A field and its value on one line. A value that begins with a bracket, a quotation mark or `|` may go on below.
_FIELD = re.compile(r"([\w-]+):[ \t]+(\S[^\n]*)")
#: A field of ours without the space that YAML needs.
_JOINED = re.compile(rf"({'|'.join([*FIELDS, 'date'])}):(?=[^\s/])", re.IGNORECASE)
_GOES_ON = ("[", "{", '"', "'", "|", ">")


class BrokenPost(ValueError):
    """Raised when a post's file exists but cannot be used; the message says which file and what to change."""


class _TOMLHandler(BaseHandler):
    """The front matter of Hugo; python-frontmatter's own handler needs another parser."""

    FM_BOUNDARY = re.compile(r"^\+{3}[ \t\r]*$", re.MULTILINE)


def split(text: str) -> tuple[dict[str, object], str]:
    """Split a file's text into its front matter and its body.

    Returns:
        The fields, whose names are in lower case and whose values are text, dates, lists and mappings; and the body.

    Raises:
        BrokenPost: the post has no front matter, or its front matter cannot be read.

    """
    text = text.strip()
    handler, read = (_TOMLHandler(), _toml) if text.startswith("+++") else (YAMLHandler(), _yaml)
    try:
        header, body = handler.split(text) if handler.detect(text) else ("", "")
    except ValueError:
        header = ""
    if not header.strip():
        mark = text[:3] if text.startswith(("---\n", "+++\n")) else ""
        why = f": the line `{mark}` that ends it, or a field, is missing; add it" if mark else ""
        raise BrokenPost(f"has no front matter{why or '; begin it with `---`, the fields, and `---`'}")
    if len(header) > MAX_HEADER:
        raise BrokenPost(f"has front matter of more than {MAX_HEADER:,} characters; move text below it")
    fields = read(clean(header.replace("\r\n", "\n")))
    return {name.lower(): value for name, value in fields.items()}, body.lstrip("\r\n")


def _yaml(text: str) -> dict[str, Any]:
    """Parse YAML; every scalar stays text, so `title: 2026` is a title and `tags: [no]` is not a boolean."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=LOADER)):
            why = "its front matter uses YAML aliases (`*name`), which can grow without end; write it out"
            raise BrokenPost(f"{why}{_advice(text)}")
        header, tree = yaml.load(text, Loader=LOADER), yaml.compose(text, Loader=LOADER)  # noqa: S506 - only text
    except (yaml.YAMLError, RecursionError) as error:
        raise BrokenPost(f"its front matter is not YAML{_where(error, text)}; correct it{_advice(text)}") from None
    if not isinstance(header, dict):
        raise BrokenPost("its front matter is not a list of `field: value` lines; correct it")
    names = [str(name.value).lower() for name, _ in tree.value] if tree else []
    for name in names:
        if names.count(name) > 1:
            raise BrokenPost(f"has {name[:80]!r} twice in its front matter; keep one of them")
    if cut := next(_cut_values(text, header), ""):
        raise BrokenPost(f"`{cut.strip()[:200]}`: YAML takes a part of this line for a comment or a mark{_quoted(cut)}")
    return {str(name): value for name, value in header.items()}


def _where(error: Exception, text: str) -> str:
    """Return what YAML says about a text, and the line about which it says it."""
    known = getattr(error, "problem", None) or getattr(error, "reason", None)
    problem, mark = known or "it is nested too deep", getattr(error, "problem_mark", None)
    lines = text.splitlines()
    near = f" near `{lines[mark.line].strip()[:100]}`" if mark and mark.line < len(lines) else ""
    return f": {' '.join(problem.split())[:200]}{near}"


def _cut_values(text: str, header: dict[str, Any]) -> Iterator[str]:
    """Yield each `field: value` line of whose value YAML sees less than is written: `title: #1 reason`, `title: A #1`."""
    is_read = False  #: whether the field of the line means something here
    for line in text.splitlines():
        if begun := re.match(r"([\w-]+):", line):
            is_read = begun[1].lower() in {*FIELDS, "date", "categories"}
        elif is_read and re.match(r"[ \t]*-[ \t]+#[^\s#]", line):
            yield line
        field = _FIELD.fullmatch(line)
        if not field or not is_read or field[2].startswith(_GOES_ON):
            continue
        is_emptied = field[2][0] == "#" and header.get(field[1]) == "" and (field[1] == "title" or field[2][1:2] != " ")
        if is_emptied or re.match(r"&|!(?!!)", field[2]) or re.search(r"[ \t]#[^\s#]", line):
            yield line


def _advice(text: str) -> str:
    """Return which line to quote, if the value of one is what YAML cannot read."""
    if re.search(r"^ *\t", text, re.MULTILINE):
        return "; indent with spaces, not with tabs"
    for line in text.splitlines():
        field = _FIELD.fullmatch(line)
        if field and _is_unreadable(field[2]):
            return _quoted(line)
        if joined := _JOINED.match(line):
            return f"; write a space behind the colon: `{joined[1]}: {line[joined.end() :][:200]}`"
    return ""


def _is_unreadable(value: str) -> bool:
    if value.startswith(_GOES_ON) and value.rstrip()[-1] in "[{,|>":
        return False
    try:
        return not isinstance(yaml.load(f"a: {value}", Loader=LOADER), dict)  # noqa: S506 - only text
    except (yaml.YAMLError, RecursionError):
        return True


def _quoted(line: str) -> str:
    begin, value = re.split(r"(?<=:)[ \t]+|(?<=-)[ \t]+(?=#)", line.strip(), maxsplit=1)
    if value.startswith("[") and begin.lower().rstrip(":") in LISTS:
        items = ", ".join(_in_quotes(item) for item in value.strip("[] \t").split(","))
        return f"; quote the values: `{begin} [{items[:200]}]`"
    return f"; quote the value: `{begin} {_in_quotes(value)}`"


def _in_quotes(value: str) -> str:
    value = value.strip()
    bare = value[1:].removesuffix(value[0]) if value[:1] in {"'", '"'} else value
    quoted = bare.strip()[:200].replace("'", "''")
    return f"'{quoted}'"


def _toml(text: str) -> dict[str, Any]:
    try:
        header = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BrokenPost(f"its front matter is not TOML: {' '.join(str(error).split())[:300]}; correct it") from None
    return {name: _as_text(value) for name, value in header.items()}


def _as_text(value: Any) -> Any:
    """Return a value of TOML as YAML would give it: numbers and booleans as text."""
    if isinstance(value, list):
        return [_as_text(each) for each in value]
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else value
