r"""Text that is safe to show on a terminal, whoever wrote it: what a terminal obeys, and what nobody sees, is spelt out.

A webhook's path, a provider's words or a post's title may hold ESC and the 8-bit controls (they move the cursor, set the
title, write the clipboard), marks that turn the direction of writing, characters without a width, and halves of
characters. They are shown as Python writes them: `\x1b`, `\u202e`.
"""

from __future__ import annotations

import re

#: More controls, invisible formatting, line and paragraph separators, fillers, lone surrogates, and tags.
_INVISIBLE = (
    r"\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_ANY = re.compile(rf"[\x00-\x1f{_INVISIBLE}]")
#: All but tab (09) and line feed (0a). Every log line is looked at: a class alone is twice as fast as one with a lookahead.
_BUT_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f{_INVISIBLE}]")

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
#: Below this a character has two hexadecimal digits, and below the next one four.
_TWO_DIGITS, _FOUR_DIGITS = 0x100, 0x10000


def one_line(text: object) -> str:
    r"""The text in one line; a line break in it is shown as `\n`."""
    return _ANY.sub(_spell, str(text))


def lines(text: object) -> str:
    """The text with its line breaks and tabs."""
    return _BUT_LINES.sub(_spell, str(text))


def json_text(text: str) -> str:
    """A JSON document with the same meaning in which such characters are escaped, for a person who looks at it."""
    return _BUT_LINES.sub(_escape, text)


def _spell(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < _TWO_DIGITS:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _FOUR_DIGITS else f"\\U{code:08x}"


def _escape(found: re.Match[str]) -> str:
    """As JSON writes it; what needs more than four digits is a pair."""
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
