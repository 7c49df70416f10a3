"""Colours and widths of a terminal.

Styles are marks inside the text until it is printed: control characters of strangers are escaped there, and the codes of
the terminal would be escaped with them.
"""

from __future__ import annotations

import shutil
import sys
import textwrap

import click
from wcwidth import wcswidth

import settings

#: By style: the mark that begins it, a character for private use, and what `click.style` is given.
_STYLES = {
    "bad": ("\ue0f0", {"fg": "red", "bold": True}),
    "warn": ("\ue0f1", {"fg": "yellow"}),
    "good": ("\ue0f2", {"fg": "green"}),
    "quiet": ("\ue0f3", {"dim": True}),
    "strong": ("\ue0f4", {"bold": True}),
}
_END = "\ue0ff"
_ALL = dict.fromkeys(map(ord, [_END, *(mark for mark, _ in _STYLES.values())]))
#: Narrower terminals are written as if they had so many columns.
MIN_WIDTH = 40


def paint(text: str, style: str) -> str:
    """Return a text in one of the styles "bad", "warn", "good", "quiet" and "strong"; "" leaves it as it is."""
    return f"{_STYLES[style][0]}{bare(text)}{_END}" if style and text else text


def bare(text: str) -> str:
    """Return a text without marks."""
    return text.translate(_ALL)


def for_terminal(text: str) -> str:
    """Return a text with the codes of the terminal in place of the marks; without colours, without both."""
    if not (sys.stdout.isatty() and settings.wants_colour()):
        return bare(text)
    for mark, style in _STYLES.values():
        text = text.replace(mark, click.style("", **style, reset=False))  # type: ignore[arg-type]
    return text.replace(_END, click.style("", reset=True))


def width() -> int | None:
    """Return the columns of the terminal, or those that COLUMNS says; None for a pipe, which has no end of line."""
    columns = shutil.get_terminal_size((0, 0)).columns
    return max(columns, MIN_WIDTH) if columns else None


def columns_of(text: str) -> int:
    """Return how many columns a text takes."""
    plain = bare(text)
    return max(wcswidth(plain), 0) if not plain.isascii() else len(plain)


def cut(text: str, columns: int | None) -> str:
    """Return a text that takes so many columns at most; `…` in place of what is left out."""
    if columns is None or columns_of(text) <= columns:
        return text
    kept = bare(text)
    while kept and columns_of(kept) >= columns:
        kept = kept[:-1]
    return f"{kept}…"


def wrapped(text: str, indent: int, first: str = "") -> list[str]:
    """Return a text in lines that fit the terminal, after `first` or `indent` spaces; words are never cut."""
    room = max((width() or 120) - indent, 20)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{first}{' ' * (indent - columns_of(first))}{lines[0]}", *(" " * indent + line for line in lines[1:])]
