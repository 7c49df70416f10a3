"""One short line for a person from one JSON line of the log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from state import terminal

#: Events of the level info that only the log file has: the end of a run tells what its tick and its requests led to.
DETAILS = frozenset({"followed", "http", "mail", "rung", "sent again", "tick", "tls"})
#: What a line says after its subject, for attempts, decisions of the gate and processes.
VERBS = {
    "done": "done",
    "failed": "failed",
    "unknown": "is in doubt",
    "refused": "refused",
    "deferred": "deferred",
    "replayed": "replayed: it was done before",
    "process started": "started",
}
#: Fields that say what went wrong.
_REASONS = ("error", "why", "reason")
#: Fields that every line has, or that the words of a line already tell.
_TOLD = frozenset(
    {"agent", "attempt", "call", "event", "exception", "hint", "key", "level", "logger", "ms", "process", "retry_after"}
    | {"task", "timestamp", *_REASONS}
)


def describe(record: Mapping[str, Any]) -> str:
    """Return the words for one event of the log; "" for a detail that only the log file has.

    Args:
        record: The fields of the JSON line.

    """
    event, is_info = _text(record, "event"), record.get("level") in {"info", "debug"}
    if is_info and (event in DETAILS or "logger" in record):  # a logger's name marks the line of a library
        return ""
    if event == "published":
        return f"published {_text(record, 'post')} → {_text(record, 'destination')}  {_text(record, 'url')}"
    subject = _subject(record)
    words = f"{subject} {VERBS[event]}" if event in VERBS and subject else f"{event} {subject}".rstrip()
    parts = [": ".join([words, *dict.fromkeys(_text(record, name) for name in _REASONS if record.get(name))])]
    if seconds := record.get("retry_after"):
        parts.append(f"again in {seconds:g} s" if isinstance(seconds, int | float) else "")
    if "hint" in record:
        parts.append(_text(record, "hint"))
    if event not in VERBS:
        parts += [f"{name}={_text(record, name)}" for name in record if name not in _TOLD]
    return "; ".join(filter(None, parts)) + _traceback(record)


def time_of(record: Mapping[str, Any]) -> datetime:
    """Return when an event happened, in the time zone of this machine; now if the line does not say."""
    try:
        return datetime.fromisoformat(str(record.get("timestamp"))).astimezone()
    except ValueError:
        return datetime.now().astimezone()


def _subject(record: Mapping[str, Any]) -> str:
    """Return the key of an event, or the name of its function if the key was made from a tick or from the call."""
    task, key, process = (_text(record, name) for name in ("task", "key", "process"))
    is_made = key.startswith(("tick:", f"{task}:"))
    return (task.rpartition(".")[2] if is_made or not key else key) or process


def _traceback(record: Mapping[str, Any]) -> str:
    text = terminal.lines(record.get("exception") or "").strip()
    return f"\n{text}" if text else ""


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return "" if value is None else terminal.one_line(value)
