"""The keys that wait for a person or for a look-up, as they are listed: in pages, oldest first, however many they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.client import Pipeline

from state.redis.keys import Keys
from state.redis.script import Script

_waiting = Script("waiting")


@dataclass(frozen=True)
class HeldPage:
    """Some entries of the list, and how many it has; an entry has `key`, `state`, `since` (ms since 1970) and `why`."""

    total: int
    entries: list[dict[str, Any]]


def read_page(redis: Redis, agent: str, start: int, count: int, kind: str = "") -> HeldPage:
    """Return a page of the list, or of one `kind` in it as waiting.lua names them; takes one round trip."""
    return page_of(_waiting(redis, Keys(agent).of(), start=start, count=count, kind=kind))


def queue_page(pipe: Pipeline, agent: str, count: int) -> None:
    """Queue that the first page is read; `page_of` takes the answer."""
    _waiting.queue(pipe, Keys(agent).of(), start=0, count=count, kind="")


def page_of(answer: list[Any]) -> HeldPage:
    """Return the page that an answer of waiting.lua has."""
    _, total, *entries = answer
    return HeldPage(int(total), [json.loads(entry) for entry in entries])
