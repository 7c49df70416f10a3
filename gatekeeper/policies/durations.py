"""Durations, rates and budgets as authors write them, `"5m"`, `"10/hour"` and `"50000 tokens/hour"`, read into milliseconds."""

from __future__ import annotations

import re
from datetime import timedelta

from gatekeeper.errors import PolicyError

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PERIODS = {"second": 1000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "week": 604_800_000}
_DURATION_EXAMPLES = "write for example '30s', '5m', '2h' or '1d'"
_RATE_EXAMPLES = "write for example '10/hour', '30/day' or '1/5m'"
_BUDGET_EXAMPLES = "write for example '200000 tokens/day' or '50000 tokens/hour'"

#: Characters of a duration or a rate.
MAX_TEXT = 40
MAX_PER_PERIOD = 1_000_000_000
#: Ten years; Redis and Lua hold this many milliseconds without loss of precision.
MAX_MS = 3660 * _UNITS["d"]

Duration = str | timedelta


def duration_ms(duration: Duration) -> int:
    """Return a duration in milliseconds.

    Args:
        duration: A timedelta, or a text such as `"90s"`, `"2m"` or `"1h30m"`.

    Raises:
        PolicyError: it is not a duration, not above zero, or longer than ten years.

    """
    if isinstance(duration, str) and len(duration) > MAX_TEXT:
        raise PolicyError(f"{duration[:MAX_TEXT]!r}… is not a duration; {_DURATION_EXAMPLES}")
    if isinstance(duration, timedelta):
        total = round(duration.total_seconds() * 1000)
    elif isinstance(duration, str) and re.fullmatch(r"(\d+(ms|s|m|h|d))+", duration):
        total = sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)(ms|s|m|h|d)", duration))
    else:
        raise PolicyError(f"{duration!r} is not a duration; {_DURATION_EXAMPLES}")
    if total <= 0:
        raise PolicyError(f"{duration!r} must be longer than zero; write for example '30s'")
    if total > MAX_MS:
        raise PolicyError(f"{duration!r} is longer than ten years; {_DURATION_EXAMPLES}")
    return total


def parse_rate(text: str) -> tuple[int, int]:
    """Return the count and the period, in milliseconds, of a text such as `"10/hour"`.

    The period is `second`, `minute`, `hour`, `day`, `week`, or a duration such as `5m`.

    Raises:
        PolicyError: the text is not a count per period.

    """
    return _parse(text, r"\s*(\d+)\s*/\s*(\w+)\s*", "a rate or a cap", _RATE_EXAMPLES)


def parse_budget(text: str) -> tuple[int, int]:
    """Return the tokens and the period, in milliseconds, of a text such as `"200000 tokens/day"`; periods are those of a rate.

    Raises:
        PolicyError: the text is not a number of tokens per period.

    """
    return _parse(text, r"\s*(\d+)\s*tokens\s*/\s*(\w+)\s*", "a budget", _BUDGET_EXAMPLES)


def _parse(text: str, pattern: str, what: str, examples: str) -> tuple[int, int]:
    if isinstance(text, str) and len(text) > MAX_TEXT:
        raise PolicyError(f"{text[:MAX_TEXT]!r}… is not {what}; {examples}")
    match = re.fullmatch(pattern, text) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise PolicyError(f"{text!r} is not {what}; {examples}")
    if int(match[1]) > MAX_PER_PERIOD:
        raise PolicyError(f"{text!r} is more than {MAX_PER_PERIOD:,} per period; {examples}")
    period = match[2].removesuffix("s") if match[2].removesuffix("s") in _PERIODS else match[2]
    return int(match[1]), _PERIODS.get(period) or duration_ms(period)
