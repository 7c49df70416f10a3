"""Compare what is wrong now with the open incidents: what begins, what ends, and what came back soon."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.monitor.conditions import Condition
from tasks.monitor.records import Book, Incident, Recent

#: What comes back within this time after it was told is counted, and told only if it still lasts at the end of it.
QUIET_RETURN = timedelta(hours=1)
#: An incident is over when it was not seen for so long: at two looks, so that one good answer in an outage does not end it.
GONE = timedelta(seconds=9)
#: Open incidents that are kept one by one.
MAX_STANDING = 500


@dataclass(frozen=True)
class Observed:
    """The book after a look, and the incidents that are over with nothing left to tell."""

    book: Book
    over: tuple[Incident, ...]


def observe(book: Book, found: Sequence[Condition], now: datetime, *, keep_ends: bool) -> Observed:
    """Compare what is wrong now with what is known.

    Args:
        book: What is known.
        found: What is wrong now.
        now: The current time.
        keep_ends: Whether an end has to be told before the incident is over: False without any channel.

    """
    by_name = {each.name: each for each in found}
    seen = {name: book.seen.get(name, now) for name in by_name if name not in book.standing}
    recent = {name: each for name, each in book.recent.items() if now - each.told < QUIET_RETURN}
    missing = {name: book.missing.get(name, now) for name in book.standing if name not in by_name}
    standing, over = {}, []
    for name, incident in book.standing.items():
        if name in by_name:
            standing[name] = _refreshed(incident, by_name[name])
            continue
        ended = _ended(incident, missing[name], now)
        if ended.until is None or (keep_ends and _has_end_to_tell(ended)):
            standing[name] = ended
        else:
            over.append(ended)
            recent |= _counted(ended, recent)
    for name, first_seen in seen.items():
        condition = by_name[name]
        # The clock of Redis, from which the time may come, may be ahead of this one.
        since = first_seen if condition.since is None or condition.since > now else condition.since
        if now - since >= condition.settle and len(standing) < MAX_STANDING:
            standing[name] = _begun(condition, since, recent.get(name))
    update = {"standing": standing, "seen": seen, "missing": missing, "recent": recent, "looked": now}
    return Observed(book.model_copy(update=update), tuple(over))


def _begun(condition: Condition, since: datetime, before: Recent | None) -> Incident:
    return Incident(
        id=hashlib.sha256(f"{condition.name} {since.isoformat()}".encode()).hexdigest()[:12],
        name=condition.name,
        kind=condition.kind,
        what=condition.what,
        since=since,
        agent=condition.agent,
        key=condition.key,
        tried=condition.tried,
        todo=condition.todo,
        page=condition.page,
        urgent=condition.urgent,
        again=before.again + 1 if before else 0,
        due=before.told + QUIET_RETURN if before else None,
    )


def _refreshed(incident: Incident, condition: Condition) -> Incident:
    """Return an open incident as it is now; one that became another kind, or urgent, is told again."""
    update = {
        "kind": condition.kind,
        "what": condition.what,
        "tried": condition.tried or incident.tried,
        "todo": condition.todo,
        "urgent": condition.urgent or incident.urgent,
        "until": None,
    }
    if condition.kind != incident.kind or (condition.urgent and not incident.urgent):
        identity = hashlib.sha256(f"{incident.id} {condition.kind} {condition.urgent}".encode()).hexdigest()[:12]
        update |= {"id": identity, "told": None, "due": None}
    return incident.model_copy(update=update)


def _ended(incident: Incident, missing: datetime, now: datetime) -> Incident:
    """Return an incident that is not seen; it ends when that lasts, and the end of a key's doubt is certain at once."""
    if incident.until or (not incident.key and now - missing < GONE):
        return incident
    return incident.model_copy(update={"until": missing})


def _has_end_to_tell(incident: Incident) -> bool:
    """Return whether anything of an incident that ended is still to be told: nothing of one that came back and went."""
    if incident.told is not None:
        return incident.kind != "approval"
    return incident.due is None


def _counted(incident: Incident, recent: dict[str, Recent]) -> dict[str, Recent]:
    """Return the count of an incident that came back soon and ended without an alert."""
    before = recent.get(incident.name)
    if before is None or incident.due is None or incident.told is not None:
        return {}
    return {incident.name: before.model_copy(update={"again": before.again + 1})}
