"""The words of other people's HTML, in time that grows with its length."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from html import unescape

#: Characters that are looked at; a title or a text is far shorter.
MAX_LENGTH = 200_000

_SILENT = re.compile(r"<(?P<tag>script|style)\b|<!--")
#: Blocks stand apart; a word may be half bold.
_BLOCK = re.compile(r"(?i)</?(?:p|br|div|li|ul|ol|h[1-6]|tr|td|th|blockquote|pre)\b[^<>]*>")
_TAG = re.compile(r"</?[a-z!][^<>]*>", re.IGNORECASE)
#: Python refuses numbers of so many digits, and no character has one.
_NO_CHARACTER = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{8,});?")


def plain(html: str) -> str:
    """The words of a piece of HTML on one line, without control characters and without those that turn text around.

    By hand: parsers of HTML take time by the square of the length for what strangers may send.
    """
    spoken = " ".join(_spoken(html[:MAX_LENGTH]))
    words = unescape(_NO_CHARACTER.sub("", _TAG.sub("", _BLOCK.sub(" ", spoken))))
    return " ".join("".join(" " if c.isspace() else c for c in words if c.isspace() or _is_shown(c)).split())


def _is_shown(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Co", "Cs", "Cn"}


def _spoken(html: str) -> Iterator[str]:
    """The pieces outside of scripts, styles and comments; what does not end ends the text."""
    at, lower = 0, html.lower()
    while silent := _SILENT.search(lower, at):
        yield html[at : silent.start()]
        end = "-->" if silent["tag"] is None else f"</{silent['tag']}"
        at = lower.find(end, silent.end())
        if at < 0:
            return
        at += len(end) if silent["tag"] is None else 0
    yield html[at:]
