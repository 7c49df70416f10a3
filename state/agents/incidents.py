"""The store of the incident log: one document that is replaced in one step, the newest incidents that ended, and alerts.

What the documents mean is the business of `tasks/monitor/`; here they are texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from redis.client import Pipeline

from state.redis import client

#: Incidents that ended and are kept.
MAX_PAST = 200
#: Seconds. An alert is tried for two days; its text must be there as long.
KEEP_ALERT = 3 * 86_400

_BOOK = "gate:{house}:incidents"


def book_key() -> str:
    """string: the open incidents, and what was told of them, as JSON"""  # noqa: D401 - the Redis type
    return _BOOK


def past_key() -> str:
    """list: the newest incidents that ended, as JSON, newest first"""
    return f"{_BOOK}:past"


def turn_key() -> str:
    """string: expires when a worker may look for incidents again"""  # noqa: D401 - the Redis type
    return f"{_BOOK}:turn"


def alert_key(alert: str) -> str:
    """string: one alert as JSON"""  # noqa: D401 - the Redis type
    return f"{_BOOK}:alert:{alert}"


@dataclass(frozen=True)
class BookChange:
    """The replacement of the book: its new text, the incidents that ended now, and the new alerts by their id."""

    book: str
    past: Sequence[str] = ()
    alerts: Mapping[str, str] = field(default_factory=dict)


def take_turn(ms: int) -> bool:
    """Return whether this process may look now; no other one may within `ms`. No safety rests on it."""
    return bool(client.client().set(turn_key(), "1", nx=True, px=ms))


def read_book() -> str:
    """Return the book, "" if there is none; raises StoreError."""
    return str(client.client().get(book_key()) or "")


def change_book(update: Callable[[str], BookChange]) -> None:
    """Replace the book, and store what belongs to the change in the same step.

    Args:
        update: Takes the book and returns the change; it runs again if another process was faster.

    Raises:
        StoreError: Redis does not answer.

    """

    def write(pipe: Pipeline) -> None:
        change = update(str(pipe.get(book_key()) or ""))
        pipe.multi()
        pipe.set(book_key(), change.book)
        for text in change.past:
            pipe.lpush(past_key(), text)
        if change.past:
            pipe.ltrim(past_key(), 0, MAX_PAST - 1)
        for name, text in change.alerts.items():
            pipe.set(alert_key(name), text, ex=KEEP_ALERT)

    client.client().transaction(write, book_key())


def past(limit: int) -> list[str]:
    """Return the newest incidents that ended, newest first; raises StoreError."""
    return [str(text) for text in client.client().lrange(past_key(), 0, limit - 1)]


def alert(name: str) -> str:
    """Return one alert, "" if it is not known any more; raises StoreError."""
    return str(client.client().get(alert_key(name)) or "")
