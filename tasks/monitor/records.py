"""The records of the incident log: incidents, their alerts, and the book of what is open and what was told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

What = Literal["begin", "end", "escalate", "summary"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Alert(_Record):
    """One alert of an incident; `states` says what became of it on each channel, and is filled in when it is read."""

    id: str
    what: What
    at: AwareDatetime
    channels: tuple[str, ...]
    states: Mapping[str, str] = {}


class Incident(_Record):
    """One thing that is or was wrong; `until` is None as long as it lasts."""

    id: str
    name: str  #: what is the same when it comes back, such as `held publish:feed:hello`
    kind: str
    what: str
    since: AwareDatetime
    until: AwareDatetime | None = None
    agent: str = ""
    key: str = ""
    tried: str = ""
    todo: str = ""
    page: str = ""  #: path of the page that shows it
    urgent: bool = True  #: it is told in QUIET_HOURS too
    again: int = 0  #: how often it came and went since the alert before, without an alert
    due: AwareDatetime | None = None  #: not told before; None: at once
    told: AwareDatetime | None = None
    escalated: AwareDatetime | None = None
    alerts: tuple[Alert, ...] = ()


class Recent(_Record):
    """The time at which something was told last, and how often it came and went since then."""

    told: AwareDatetime
    again: int = 0


class AlertText(_Record):
    """One alert as it is sent; the link is made when it is sent."""

    id: str
    what: What
    at: AwareDatetime
    title: str
    body: str
    bad: bool  #: something is wrong; False for the end of an incident
    channels: tuple[str, ...]
    page: str = ""
    agent: str = ""  #: of the key that a person can decide about on the page
    key: str = ""


class PendingAlert(_Record):
    """An alert whose calls have not all been registered."""

    id: str
    channels: tuple[str, ...]


class Book(_Record):
    """The open incidents, and what was told of them."""

    standing: Mapping[str, Incident] = {}  #: by name; with `until` while their end has not been told
    seen: Mapping[str, AwareDatetime] = {}  #: since when something is seen that is not believed yet
    missing: Mapping[str, AwareDatetime] = {}  #: since when an open incident is not seen
    recent: Mapping[str, Recent] = {}
    sent: tuple[AwareDatetime, ...] = ()  #: when the alerts of the last minutes were made
    summary: AwareDatetime | None = None  #: when the last summary was made
    was_quiet: bool = False
    outbox: tuple[PendingAlert, ...] = ()
    looked: AwareDatetime | None = None  #: when a worker last looked


def at(ms: float | None, default: datetime) -> datetime:
    """Return a time in milliseconds since 1970; `default` for None."""
    return default if ms is None else datetime.fromtimestamp(ms / 1000, default.tzinfo)
