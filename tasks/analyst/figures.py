"""Read numbers as people and programs write them: with separators, currencies, percent signs, and gaps."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Literal

#: Characters of a cell that may hold a number.
MAX_LENGTH = 40
#: How tables mark a missing value.
MISSING = frozenset(
    {"", "-", "--", "\u2013", "\u2014", ".", "?", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "n.a.", "k.a."}
)

Mark = Literal[".", ","]

_CURRENCIES = (
    "AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|ILS|INR|JPY|KRW|MXN|NOK|NZD|PLN|RUB|SEK|SGD|TRY|UAH|USD|ZAR|"
    r"kr\.?|Fr\.?|zł|Kč|Ft"
)
_UNIT = re.compile(rf"^(?:{_CURRENCIES}|[A-Z]{{1,2}}(?=\$))\s*|\s*(?:{_CURRENCIES}|[%‰])$")
#: Groups of three digits, between which a space or an apostrophe stands.
_GROUPS = re.compile(r"(?<=\d)[\s'\u2019_](?=\d{3}(?!\d))")
_EXPONENT = r"(?:[eE][+-]?\d{1,3})?"
_FORMS = {
    mark: re.compile(
        rf"[+-]?(?:\d{{1,3}}(?:{thousands}\d{{2,3}})*{thousands}\d{{3}}(?:{decimal}\d+)?|\d+{decimal}?\d*|{decimal}\d+){_EXPONENT}"
    )
    for mark, decimal, thousands in ((".", r"\.", ","), (",", ",", r"\."))
}
#: What only one of the two decimal marks explains: other than three digits behind it, or a zero alone before it.
_PROOFS = {
    mark: re.compile(
        rf"[+-]?0?{decimal}\d+|.*{decimal}(?:\d{{1,2}}|\d{{4,}}){_EXPONENT}|.*{thousands}\d{{3}}{decimal}\d+|.*{thousands}\d{{3}}{thousands}\d{{3}}"
    )
    for mark, decimal, thousands in ((".", r"\.", ","), (",", ",", r"\."))
}


def is_missing(cell: Any) -> bool:
    """Return whether a cell marks a missing value."""
    return cell is None or (isinstance(cell, str) and cell.strip().casefold() in MISSING)


def read(cell: Any, mark: Mark) -> float | None:
    """Return the number in a cell, or None if there is none.

    Args:
        cell: A text, or a number from JSON.
        mark: The decimal mark of texts; the other mark separates thousands.

    """
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return _finite(cell)
    text = _bare(cell) if isinstance(cell, str) else ""
    if not _FORMS[mark].fullmatch(text):
        return None
    thousands = "," if mark == "." else "."
    return _finite(text.replace(thousands, "").replace(mark, "."))


def decimal_mark(cells: Iterable[Any]) -> Mark | None:
    """Return the decimal mark that the cells prove, or None if they prove none, or both."""
    texts = [_bare(cell) for cell in cells if isinstance(cell, str)]
    marks: tuple[Mark, Mark] = (".", ",")
    proven = [mark for mark in marks if any(_FORMS[mark].fullmatch(t) and _PROOFS[mark].fullmatch(t) for t in texts)]
    return proven[0] if len(proven) == 1 else None


def _bare(cell: str) -> str:
    """Return a text without currency and percent signs, with an ASCII sign in front, and without spaces in groups."""
    if len(cell) > MAX_LENGTH:
        return ""
    text = (
        "".join(c for c in cell if unicodedata.category(c) not in {"Sc", "Cf"} or c == "$")
        .strip()
        .lstrip("'=")
        .strip('"')
    )
    text = text.replace("\u2212", "-").replace("\u2013", "-")
    is_negative = (text.startswith("(") and text.endswith(")")) or text.endswith("-") or text.startswith("-")
    text = _UNIT.sub("", text.strip("()+-").strip()).replace("$", "").strip().strip("+-")
    return ("-" if is_negative else "") + _GROUPS.sub("", text.strip())


def _finite(number: float | str) -> float | None:
    try:
        value = float(number)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
