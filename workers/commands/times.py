"""Times for a person: in the time zone of the terminal, and how long ago."""

from __future__ import annotations

from datetime import UTC, datetime

#: By unit: from how many seconds on it is used, and its length in seconds.
_UNITS = (("days", 129_600, 86_400), ("h", 5_400, 3_600), ("min", 90, 60), ("s", 0, 1))


def parsed(time: datetime | str) -> datetime:
    """Return a time that may be ISO 8601 text, with a zone; without one it is in UTC."""
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def clock(time: datetime | str, now: datetime) -> str:
    """Return a time as a clock of this place shows it, with the day unless that is today: `14:03:22`, `28 Nov 14:03`."""
    local, today = parsed(time).astimezone(), now.astimezone().date()
    if local.date() == today:
        return f"{local:%H:%M:%S}"
    return f"{local.day} {local:%b %H:%M}" if local.year == today.year else f"{local.day} {local:%b %Y}"


def ago(time: datetime | str, now: datetime) -> str:
    """Return how far a time is from now: `3 min ago`, `in 2 h`, `just now`."""
    seconds = (now - parsed(time)).total_seconds()
    if abs(seconds) < 1:
        return "just now"
    words = span(abs(seconds))
    return f"{words} ago" if seconds > 0 else f"in {words}"


def span(seconds: float) -> str:
    """Return a duration in its largest useful unit: `40 ms`, `40 s`, `3 min`, `5 h`, `2 days`."""
    if 0 < seconds < 1:
        return f"{max(1, round(seconds * 1000))} ms"
    unit, _, length = next(each for each in _UNITS if seconds >= each[1])
    return f"{round(seconds / length)} {unit}"


def when(time: datetime | str, now: datetime) -> str:
    """Return a time and how far it is from now: `14:03:22, 3 min ago`."""
    return f"{clock(time, now)}, {ago(time, now)}"
