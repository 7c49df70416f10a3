"""Retry-After: how long a server wants to be left alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Characters of a header that is read; a date has 29, and anything longer than this is nonsense.
MAX_HEADER_LENGTH = 100


def seconds(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the headers of a response ask to wait, or None; a date counts from the server's own clock."""
    text = _short(headers, "Retry-After")
    try:
        wanted = float(text)
    except ValueError:
        date = _date(text)
        wanted = math.nan if date is None else _since(date, _date(_short(headers, "Date")))
    return max(0.0, wanted) if math.isfinite(wanted) else None


def _short(headers: Mapping[str, str], name: str) -> str:
    text = headers.get(name, "")
    return text.strip() if len(text) <= MAX_HEADER_LENGTH else ""


def _since(date: datetime, then: datetime | None) -> float:
    return (date - (then or datetime.now(UTC))).total_seconds()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
