"""The events of a key's history in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from workers.commands import refusals, times

#: Fields of an event that say nothing to a person who does not debug the gate itself.
_INTERNAL = frozenset(
    {"at", "event", "fence", "owner", "ms", "attempt", "call", "stage", "error", "why", "door", "by", "detail", "value"}
)


#: Characters of one field of an event.
MAX_VALUE = 120


def words(event: dict[str, Any]) -> str:
    """Return what an event says to a person besides its name and its time; may be empty."""
    match event:
        case {"event": "registered" | "arrived" | "replayed", "door": door}:
            return f"through {door}"
        case {"event": "claimed"}:
            return f"attempt {event['attempt']} begins" if "attempt" in event else "an attempt begins"
        case {"event": "refused" | "deferred"}:
            return refusals.why(event)
        case {"event": "done", "ms": ms}:
            took = times.span(ms / 1000) if ms else "less than 1 ms"
            return f"attempt {event.get('attempt', '')} took {took}".replace("  ", " ")
        case {"event": "waiting", "until": until}:
            return f"{event.get('why')}; tried again at {times.clock(until, datetime.now(UTC))}"
    return _request(event) if event["event"] == "http" else _fields(event)


def _request(event: dict[str, Any]) -> str:
    answer = event.get("status") or event.get("error") or "no answer"
    return f"{event.get('method')} {event.get('url')}: {answer}, {event.get('outcome')}"


def _fields(event: dict[str, Any]) -> str:
    text = ": ".join(str(event[name]) for name in ("error", "detail", "why") if event.get(name))
    text = f"by {event['by']}: {text}".rstrip(": ") if event.get("by") else text
    rest = "  ".join(f"{name}={_value(value)}" for name, value in event.items() if name not in _INTERNAL)
    return f"{text}  {rest}".strip()


def _value(value: Any) -> str:
    """Return a value on one line; of a long one, which the page of its key shows whole, the size."""
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return written if len(written) <= MAX_VALUE else f"({len(written)} characters)"
