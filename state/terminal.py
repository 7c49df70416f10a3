r"""Untrusted text made safe for a terminal: control characters and invisible characters are escaped.

A webhook's path, a provider's message or a post's title may contain ESC and the 8-bit controls (which move the cursor, set
the title or write the clipboard), marks that change the direction of text, characters without a width, and lone
surrogates. They are shown as Python escapes them: `\x1b`, `\u202e`.
"""

from __future__ import annotations

import re

#: More controls, invisible formatting, line and paragraph separators, fillers, lone surrogates, and tags.
_INVISIBLE = (
    r"\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_ANY = re.compile(rf"[\x00-\x1f{_INVISIBLE}]")
#: All but tab (09) and line feed (0a). Every log line is searched, and a plain class is twice as fast as a lookahead.
_BUT_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f{_INVISIBLE}]")

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
#: Code points below these are written with two and with four hexadecimal digits.
_TWO_DIGITS, _FOUR_DIGITS = 0x100, 0x10000


def one_line(text: object) -> str:
    r"""Return the text in one line; a line break in it becomes `\n`."""
    return _ANY.sub(_escape, str(text))


def lines(text: object) -> str:
    """Return the text with its line breaks and tabs."""
    return _BUT_LINES.sub(_escape, str(text))


def json_text(text: str) -> str:
    """Return a JSON document with the same meaning in which these characters are escaped."""
    return _BUT_LINES.sub(_json_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < _TWO_DIGITS:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _FOUR_DIGITS else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    """Escape a character as JSON does: one beyond four digits becomes a surrogate pair."""
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
