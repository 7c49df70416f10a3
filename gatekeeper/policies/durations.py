"""Durations and rates as people say them: `"5m"`, `"10/hour"`. Inside they are milliseconds."""

from __future__ import annotations

import re
from datetime import timedelta

from gatekeeper.errors import PolicyError

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PERIODS = {"second": 1000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "week": 604_800_000}

MAX_TEXT = 40
MAX_PER_PERIOD = 1_000_000_000
#: Redis and its scripts count in numbers that hold this without loss.
MAX_MS = 3660 * _UNITS["d"]

Duration = str | timedelta


def milliseconds(duration: Duration) -> int:
    """`"90s"`, `"2m"`, `"1h30m"` or a timedelta, in ms; must be above zero."""
    if isinstance(duration, str) and len(duration) > MAX_TEXT:
        raise PolicyError(f"{duration[:MAX_TEXT]!r}… is not a duration; write for example '30s', '5m', '2h' or '1d'")
    if isinstance(duration, timedelta):
        total = round(duration.total_seconds() * 1000)
    elif isinstance(duration, str) and re.fullmatch(r"(\d+(ms|s|m|h|d))+", duration):
        total = sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)(ms|s|m|h|d)", duration))
    else:
        raise PolicyError(f"{duration!r} is not a duration; write for example '30s', '5m', '2h' or '1d'")
    if total <= 0:
        raise PolicyError(f"{duration!r} is no time at all; write for example '30s'")
    if total > MAX_MS:
        raise PolicyError(f"{duration!r} is longer than ten years; write for example '30s', '5m', '2h' or '1d'")
    return total


def per_period(text: str) -> tuple[int, int]:
    """`"10/hour"` as (10, 3600000); periods are second, minute, hour, day, week, or a duration such as `5m`."""
    if isinstance(text, str) and len(text) > MAX_TEXT:
        raise PolicyError(
            f"{text[:MAX_TEXT]!r}… is not a rate or a cap; write for example '10/hour', '30/day' or '1/5m'"
        )
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\w+)\s*", text) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise PolicyError(f"{text!r} is not a rate or a cap; write for example '10/hour', '30/day' or '1/5m'")
    if int(match[1]) > MAX_PER_PERIOD:
        raise PolicyError(f"{text!r} is more than anybody counts; write for example '10/hour', '30/day' or '1/5m'")
    period = match[2].removesuffix("s") if match[2].removesuffix("s") in _PERIODS else match[2]
    return int(match[1]), _PERIODS.get(period) or milliseconds(period)
