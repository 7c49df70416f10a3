"""Retry-After: how long a server wants to be left alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Characters of a header that are read; a date has 29.
LONGEST = 100


def seconds(headers: Mapping[str, str]) -> float | None:
    """The pause that the headers of an answer ask for, or None; a date counts from the server's own clock."""
    text = headers.get("Retry-After", "")[:LONGEST].strip()
    try:
        wanted = float(text)
    except ValueError:
        date = _date(text)
        wanted = math.nan if date is None else _since(date, _date(headers.get("Date", "")[:LONGEST]))
    return max(0.0, wanted) if math.isfinite(wanted) else None


def _since(date: datetime, then: datetime | None) -> float:
    return (date - (then or datetime.now(UTC))).total_seconds()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
