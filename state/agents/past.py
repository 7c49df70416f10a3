"""The beginning of a history, which a key notes in three short fields for as long as nothing but success is told of it.

A list of three events takes more of Redis than everything else about a call that is done. The first event of another
kind makes the list, and `past.lua.inc` puts the events that are read here in front of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_CLAIMED = re.compile(r'\{"at": \d+, "event": "claimed", "attempt": 1, "fence": \d+, "owner": "[^"]*"\}')
_SENDING = re.compile(r'\{"at": (\d+), "event": "sending", "payload_size": (\d+)\}')
_APPLIED = re.compile(r'\{"at": (\d+), "event": "applied"\}')
_DONE = re.compile(r'\{"at": \d+, "event": "done", "ms": (\d+), "attempt": 1\}')


def of_beginning(events: Sequence[str], claimed_ms: int) -> str:
    """Return what a key notes of the beginning of an effect; empty if these events (JSON texts) say more than that."""
    if len(events) != 2 or not _CLAIMED.fullmatch(events[0]):  # noqa: PLR2004 - the claim and the beginning
        return ""
    sending = _SENDING.fullmatch(events[1])
    return f"{int(sending[1]) - claimed_ms} {sending[2]}" if sending and int(sending[1]) >= claimed_ms else ""


def of_end(events: Sequence[str], claimed_ms: int) -> str:
    """Return what a key notes of the success of a first attempt; empty if these events (JSON texts) say more than that."""
    if len(events) != 2 or not (done := _DONE.fullmatch(events[1])):  # noqa: PLR2004 - what came before, and the end
        return ""
    if _CLAIMED.fullmatch(events[0]):
        return done[1]
    applied = _APPLIED.fullmatch(events[0])
    return f"{int(applied[1]) - claimed_ms} {done[1]}" if applied and int(applied[1]) >= claimed_ms else ""


def in_full(key: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a key, with those that a call which went well at once leaves out of it.

    Its task and its call, where the name of the key is made of them (`TASK:CALL`), and when it was done.
    """
    took = record.get("took")
    if took is None:
        return dict(record)
    task, _, call = key.partition(":")
    named = {} if record.get("call") is not None else {"task": task, "call": call}
    return {**record, **named, "done_ms": str(int(record["started_ms"]) + int(took.split()[-1]))}


def past(record: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the events that a key with these fields notes, oldest first; none once they are in its list."""
    return list(_events(record))


def _events(record: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    began = int(record.get("started_ms", 0))
    came, line, took = record.get("came"), record.get("line"), record.get("took")
    if came is not None:
        at, _, origin = came.partition(" ")
        yield {"at": int(at), "event": "registered", "door": origin, "call": record.get("call")}
    if line is not None or took is not None:
        which = {"attempt": 1, "fence": int(record["fence"]), "owner": record["owner"]}
        yield {"at": began, "event": "claimed", **which}
    if line is not None:
        after_ms, size = map(int, line.split())
        yield {"at": began + after_ms, "event": "sending", "payload_size": size}
    if took is not None:
        *applied, ms = map(int, took.split())
        yield from ({"at": began + after_ms, "event": "applied"} for after_ms in applied)
        yield {"at": began + ms, "event": "done", "ms": ms, "attempt": 1}
