"""Convert HTML from strangers to plain text, in linear time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from html import unescape

#: Characters; the rest of a longer text is ignored. A title or a summary is far shorter.
MAX_LENGTH = 200_000

#: They shape Persian and Indic words and join the parts of an emoji.
_JOINERS = "\u200c\u200d"

_SILENT = re.compile(r"<(?P<tag>script|style)\b|<!--")
#: A block tag separates words; an inline tag may stand inside a word.
_BLOCK = re.compile(r"(?i)</?(?:p|br|div|li|ul|ol|h[1-6]|tr|td|th|blockquote|pre)\b[^<>]*>")
_TAG = re.compile(r"</?[a-z!][^<>]*>", re.IGNORECASE)
#: References with more digits than any code point has; `unescape` raises on very long ones.
_INVALID_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{8,});?")


def plain(html: str) -> str:
    """Return the visible text of an HTML fragment on one line.

    Control characters and characters that change the direction of text are removed. This is not an HTML parser: parsers
    take quadratic time for some inputs.
    """
    visible = " ".join(_outside_scripts(html[:MAX_LENGTH]))
    text = unescape(_INVALID_REFERENCE.sub("", _TAG.sub("", _BLOCK.sub(" ", visible))))
    return " ".join("".join(" " if c.isspace() else c for c in text if c.isspace() or _is_visible(c)).split())


def _is_visible(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in {"Cc", "Cf", "Co", "Cs", "Cn"}


def _outside_scripts(html: str) -> Iterator[str]:
    """Yield the pieces outside scripts, styles and comments; one that is never closed extends to the end."""
    at, lower = 0, html.lower()
    while silent := _SILENT.search(lower, at):
        yield html[at : silent.start()]
        end = "-->" if silent["tag"] is None else f"</{silent['tag']}"
        at = lower.find(end, silent.end())
        if at < 0:
            return
        at += len(end) if silent["tag"] is None else 0
    yield html[at:]
