"""The incident log: what is wrong now, what was wrong, and which alerts told it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from state.agents import calls, incidents
from tasks.monitor.records import Alert, Book, Incident

__all__ = ["Alert", "Incident", "alert_key", "current", "past", "read"]

#: The agent whose task sends alerts, and that task.
AGENT = "monitor"
TASK = "tasks.monitor.alert"
#: The key of an alert on a channel is forgotten after some days; before, an unknown key means that it was not sent yet.
REMEMBERED = timedelta(days=3)


def alert_key(alert: str, channel: str) -> str:
    """Return the key under which an alert is sent to a channel: the template of its task filled in."""
    return f"alert:{alert}:{channel}"


def read() -> Book:
    """Return the book; raises StoreError."""
    return parse(incidents.read_book())


def parse(text: str) -> Book:
    """Return a book from its text; an empty one from an empty text."""
    return Book.model_validate_json(text) if text else Book()


def current() -> list[Incident]:
    """Return the open incidents, the newest first; raises StoreError."""
    standing = [each for each in read().standing.values() if each.until is None]
    return _with_states(sorted(standing, key=lambda each: each.since, reverse=True))


def past(limit: int = 50) -> list[Incident]:
    """Return the newest incidents that ended, at most 200 of them, the newest first; raises StoreError."""
    return _with_states([Incident.model_validate_json(text) for text in incidents.past(limit)])


def _with_states(found: list[Incident]) -> list[Incident]:
    """Return the incidents with what became of their alerts."""
    keys = {alert_key(alert.id, channel) for each in found for alert in each.alerts for channel in alert.channels}
    states = {key: state for key, (state, _) in calls.key_states(AGENT, sorted(keys)).items()}
    return [
        each.model_copy(update={"alerts": tuple(_with_state(alert, states) for alert in each.alerts)}) for each in found
    ]


def _with_state(alert: Alert, states: Mapping[str, str | None]) -> Alert:
    unknown = "queued" if datetime.now(UTC) - alert.at < REMEMBERED else "forgotten"
    said = {channel: states[alert_key(alert.id, channel)] or unknown for channel in alert.channels}
    return alert.model_copy(update={"states": said})
