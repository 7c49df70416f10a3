"""Read the error in a provider's response: its words, whatever form the body has, and the status that it stands for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from clients.llm.dig import dig
from clients.text import html
from gatekeeper.redact import clean

#: Characters of the provider's words that are told, and that are read.
MAX_SHOWN, MAX_READ = 200, 2000
#: Levels of objects and lists in which words are looked for, items of each, and how many of a list's words are told.
MAX_LEVELS, MAX_ITEMS, MAX_WORDS = 6, 50, 3

#: The fields that hold words, or lead to them; the first that does is told.
_FIELDS = (
    "message", "msg", "faultstring", "detail", "details", "status_msg", "error_msg", "error_message", "error_description",
    "error", "errors", "base_resp", "fault", "description", "reason", "title", "header", "responsemetadata", "response",
)  # fmt: skip
_MARKUP = re.compile(r"<[a-zA-Z!/]")
#: The fields that hold a status, beside those of MiniMax, whose codes are its own and come with status 200.
_STATUSES = ("code", "status", "statusCode", "status_code")
_MINIMAX = {"1002": 429, "1004": 401, "1008": 402, "1026": 400, "1027": 400, "2013": 400, "2049": 401}
#: Words that tell more than the status: many servers answer 400 or 200 to a wrong key, and 429 to an empty account.
_MEANINGS = {
    402: r"insufficient[ _-](?:account |api )?(?:balance|quota|credit|fund)|out of credits|payment required",
    401: r"api[ _-]?key.{0,30}\b(?:invalid|not valid|incorrect|expired)|(?:invalid|incorrect|wrong).{0,12}api[ _-]?key",
    404: r"(?:invalid|unknown|no such)[ _-]model\b|model[ _-]not[ _-]found|\bmodel\b.{0,60}(?:not found|not exist)",
}
#: Characters in which these are looked for; what follows may quote the question, which must not switch a provider off.
MAX_MEANT = 300


@dataclass(frozen=True)
class ErrorBody:
    """The error that a body reports.

    Attributes:
        text: The provider's words, whole, or an empty text.
        code: The provider's code as text, or an empty text.
        status: The HTTP status that the body states, or None.

    """

    text: str = ""
    code: str = ""
    status: int | None = None

    @property
    def said(self) -> str:
        """The provider's words on one line, shortened, without markup and without secrets."""
        text = html.plain(self.text) if _MARKUP.search(self.text) else self.text
        return clean(" ".join(text.split()))[:MAX_SHOWN]

    @property
    def meaning(self) -> int | None:
        """The HTTP status that the words mean, whatever the server sent; None if they mean none."""
        words = f"{self.text[:MAX_MEANT]} {self.code}"
        return next((status for status, form in _MEANINGS.items() if re.search(form, words, re.IGNORECASE)), None)


def read(body: Any) -> ErrorBody:
    """Read a body.

    Args:
        body: The parsed JSON, or the text of a body that is not JSON.

    Returns:
        The error; in a body with choices, only what it marks as an error.

    """
    if isinstance(body, list):  # Google puts its error into a list
        body = next((each for each in body if isinstance(each, dict)), {})
    if not isinstance(body, dict):
        return ErrorBody(_words(body)[:MAX_READ])
    minimax = str(dig(body, "base_resp", "status_code") or "")
    marked = {"error": body.get("error") or dig(body, "choices", 0, "error"), "base_resp": body.get("base_resp")}
    if not minimax and body.get("choices"):
        del marked["base_resp"]  # its words are "success"
    error = marked["error"] if isinstance(marked["error"], dict) else body
    marked = {name: value for name, value in marked.items() if value}
    text = _words(marked) if body.get("choices") else _words({**body, **marked})
    for more in (_words(dig(error, "metadata", "raw")), _words(error.get("param"))):
        text = text if more in text else f"{text} ({more})"
    code = str(error.get("code") or error.get("type") or minimax)
    numbers = [_MINIMAX.get(minimax), *(_number(each.get(name)) for each in (error, body) for name in _STATUSES)]
    return ErrorBody(text[:MAX_READ], code, next(filter(None, numbers), None))


def _words(value: Any, levels: int = MAX_LEVELS) -> str:
    """Return the words in a value; of a text that holds JSON, those in the JSON."""
    if isinstance(value, str):
        return _inside_text(value, levels).replace("\0", "")
    if levels == 0:
        return ""
    if isinstance(value, list):
        found = filter(None, (_words(each, levels - 1) for each in value[:MAX_ITEMS]))
        return "; ".join(islice(found, MAX_WORDS))
    return next(filter(None, _of_object(value, levels - 1)), "") if isinstance(value, dict) else ""


def _of_object(value: dict[str, Any], levels: int) -> Iterator[str]:
    """Yield the words of an object, the best first."""
    value = {name.lower(): inner for name, inner in islice(value.items(), MAX_ITEMS)}
    if isinstance(value.get("loc"), list) and value.get("msg"):  # FastAPI says what is wrong where
        yield f"{'.'.join(map(str, value['loc']))}: {value['msg']}"
    yield from (_words(value.get(name), levels) for name in _FIELDS)
    # Any name will do below the top, as in {"errors": {"max_tokens": ["is too large"]}}; a message of a chat is not an error.
    if levels < MAX_LEVELS - 1 and "role" not in value:
        others = (f"{name}: {words}" for name, inner in value.items() if (words := _words(inner, levels)))
        yield "; ".join(islice(others, MAX_WORDS))


def _inside_text(text: str, levels: int) -> str:
    if levels and text.lstrip()[:1] in {"{", "["}:
        try:
            return _words(json.loads(text), levels - 1) or text
        except (ValueError, RecursionError):
            pass
    return text


def _number(value: Any) -> int | None:
    """Return a number or digits that are the status of an error."""
    text = str(value)
    return int(text) if re.fullmatch(r"[45][0-9][0-9]", text) else None
