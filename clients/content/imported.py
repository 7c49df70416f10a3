"""Posts that were written for Jekyll or Hugo: what their front matter and their file names mean here."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import PurePath

from clients.content.front_matter import FIELDS, BrokenPost
from clients.content.post import ID, utc
from clients.text import source

#: Fields of Jekyll, of Hugo and of common themes that say nothing about whether, when and where to publish.
IGNORED = frozenset({
    "aliases", "author", "authors", "categories", "category", "comments", "cover", "date", "description", "excerpt",
    "excerpt_separator", "expirydate", "featured", "featured_image", "header", "image", "images", "keywords", "lang",
    "lastmod", "last_modified_at", "layout", "linktitle", "markup", "math", "menu", "mermaid", "modified", "outputs",
    "params", "permalink", "pin", "publishdate", "redirect_from", "series", "share", "slug", "subtitle", "summary", "tag",
    "thumbnail", "toc", "translationkey", "type", "updated", "url", "weight",
})  # fmt: skip

#: How similar the name of an unknown field is to one of ours that is misspelt.
MISSPELT = 0.8

#: A file name that begins with the post's date, as Jekyll wants it.
_DATED_NAME = re.compile(r"(\d{4}-\d{1,2}-\d{1,2})-.+", re.DOTALL)
#: What Jekyll (Liquid) and Hugo replace before they render Markdown.
_TEMPLATE_TAG = re.compile(
    r"\{\{(?:[<%]|-?\s*/\*)[^{}]{0,500}\}\}|\{%[^{}%]{0,500}%\}"
    r"|\{\{-?\s*(?:site|page|post|layout|include)\b[^{}]{0,500}\}\}|\{\{[^{}|]{0,500}\|\s*\w[^{}]{0,500}\}\}"
    r"|\{:\s*[.#:\w][^{}\n]{0,500}\}"
)
#: Those that hide a text, and those that are the address of a link: nobody writes them to be read as they are.
_HIDING_TAG = re.compile(
    r"\{\{[<%]?-?\s*(?:/\*|comment\b)[^{}]{0,500}\}\}|\{%-?\s*comment\b[^{}%]{0,500}%\}|\{::comment\b[^{}\n]{0,500}\}"
    r"|(?<=\]\()\s{0,9}\{(?:\{[^{}]{0,500}\}|%[^{}%]{0,500}%)\}"
)
_MAX_ID = 64


class Skipped(BrokenPost):
    """Raised for a post that is not to be published, because its file says so; the message says why."""


def default_id(path: PurePath) -> str:
    """Return the id of the post in a file whose front matter has none: its name, or its folder's for `name/index.md`."""
    return slug(path.parent.name if path.stem == "index" and path.parent.name else path.stem)


def slug(text: str) -> str:
    """Return a text as an id: lower case, without accents, with hyphens between words; an id stays as it is."""
    if ID.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain)[:_MAX_ID].strip("-_") or text


def adapt(header: dict[str, object], body: str, path: PurePath) -> dict[str, object]:
    """Return the fields of a post, as Gatehouse names them.

    Args:
        header: The front matter, with names in lower case.
        body: Markdown.
        path: The file, relative to the content folder.

    Raises:
        Skipped: the post is a draft, has expired, or goes nowhere.
        BrokenPost: a field has no meaning here, or the body needs Jekyll or Hugo.

    """
    fields = {name: value for name, value in header.items() if value not in ("", "~", "null")}
    _check_wanted(header, fields, path)
    dated = _DATED_NAME.fullmatch(path.stem if path.stem != "index" else path.parent.name)
    date = fields.get("publishdate") or fields.get("date") or (dated and dated[1])
    is_ours = "publish_at" in fields or not date
    known = {*FIELDS, *IGNORED, "draft", "published"}
    _check_names([name for name in fields if name not in known], strict=is_ours)
    if not is_ours:
        fields |= {"publish_at": date, "tags": _joined(fields, "tags", "tag", "categories", "category")}
    if tag := _template_tag(body, _HIDING_TAG if is_ours else _TEMPLATE_TAG):
        why = "which only Jekyll or Hugo replaces; write out what it stands for, or put it in backticks"
        raise BrokenPost(f"contains `{tag}`, {why}")
    given = slug(str(fields["slug"])) if "slug" in fields else default_id(path)
    return {"id": given} | {name: value for name, value in fields.items() if name in FIELDS}


def _check_wanted(header: dict[str, object], fields: dict[str, object], path: PurePath) -> None:
    if _is(fields.get("draft"), "true", "yes", "on", "1"):
        raise Skipped("is a draft (`draft: true`); remove that line to publish it")
    if _is(fields.get("published"), "false", "no", "off", "0"):
        raise Skipped("is not to be published (`published: false`); remove that line to publish it")
    if path.stem == "_index":
        raise Skipped("is the page of a section of Hugo, not a post; rename it to publish it")
    if any(folder in {"_drafts", "drafts"} for folder in path.parent.parts):
        raise Skipped("is in a folder of drafts; move it out of there to publish it")
    if "expirydate" in fields and _expires(fields["expirydate"]) <= datetime.now(UTC):
        raise Skipped(f"expired (`expiryDate: {fields['expirydate']}`); remove that line to publish it")
    goes_to = header.get("destinations", "feed")
    if not goes_to or _is(goes_to, "~", "null", "none") or (isinstance(goes_to, str) and not goes_to.strip(", ")):
        raise Skipped(
            "destinations: is empty, so the post goes nowhere; write `destinations: [feed]`, "
            "or remove the line to send it to every destination in PUBLISH_TO"
        )


def _is(value: object, *texts: str) -> bool:
    return isinstance(value, str) and value.strip().lower() in texts


def _expires(value: object) -> datetime:
    try:
        return utc(value)
    except ValueError as error:
        raise BrokenPost(f"expiryDate: {error}; write `expiryDate: 2026-11-01T09:00:00Z`") from None


def _check_names(unknown: list[str], *, strict: bool) -> None:
    for name in unknown:
        meant = get_close_matches(name.replace("-", "_"), FIELDS, n=1, cutoff=MISSPELT)
        if strict or meant:
            hint = f"; did you mean {meant[0]}?" if meant else ""
            raise BrokenPost(f"unknown in its front matter: {name[:80]!r}; the fields are {', '.join(FIELDS)}{hint}")


def _joined(fields: dict[str, object], *names: str) -> list[object]:
    """Return the values of several fields as one list; in a text, commas separate them, or else spaces as in Jekyll."""
    joined: list[object] = []
    for value in (fields[name] for name in names if name in fields):
        if isinstance(value, str):
            joined += value.split("," if "," in value else None)
        else:
            joined += value if isinstance(value, list) else [value]
    return [each for each in joined if each != ""]


def _template_tag(body: str, form: re.Pattern[str]) -> str:
    """Return the first tag of this form outside code and comments; empty if there is none."""
    if not form.search(body):
        return ""
    try:
        prose = "".join(piece for kind, piece in source.pieces(body) if kind == source.PROSE)
    except source.UnclosedComment:
        return ""  # the post itself is told to be broken
    found = form.search(prose)
    return " ".join(found[0][:80].split()) if found else ""
