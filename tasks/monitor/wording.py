"""The words of an alert: what, since when, what was tried, what to do. The page is added when it is sent.

Payloads and secrets never appear: the words are made of names, states and reasons that the log may hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from types import ModuleType
from zoneinfo import ZoneInfo

from gatekeeper.redact import clean
from gatekeeper.tables import config_lines
from state import hints
from state.terminal import one_line
from tasks.monitor.records import AlertText, Incident, What

#: Characters of a title, which some services cut.
MAX_TITLE = 120
#: Incidents that a summary names one by one.
MAX_NAMED = 15


def message(incident: Incident, what: What, now: datetime, channels: tuple[str, ...]) -> AlertText:
    """Return the alert that tells one incident.

    Args:
        incident: The incident.
        what: Whether it begins, ends or nobody looked.
        now: The current time.
        channels: The names of the channels.

    """
    is_over = what == "end" or incident.until is not None
    heads = {"begin": "", "end": "Over: ", "escalate": "Nobody looked: ", "summary": ""}
    return AlertText(
        id=f"{incident.id}-{what}",
        what=what,
        at=now,
        title=_cut(f"{heads[what]}{incident.what}"),
        body="\n".join(_lines(incident, now)),
        bad=not is_over,
        channels=channels,
        page=incident.page,
        agent=incident.agent if incident.key and not is_over else "",
        key="" if is_over else incident.key,
    )


def summary(
    incidents: Sequence[Incident],
    now: datetime,
    channels: tuple[str, ...],
    *,
    quiet_is_over: bool = False,
    nobody_looked: bool = False,
) -> AlertText:
    """Return one alert that tells many incidents."""
    begun = sum(each.until is None for each in incidents)
    counts = f"{begun} open, {len(incidents) - begun} over"
    title = f"{len(incidents)} incidents: {counts}"
    if quiet_is_over:
        title = f"While it was quiet, {len(incidents)} incidents: {counts}"
    if nobody_looked:
        title = f"Nobody looked after {len(incidents)} incidents"
    named = [f"- {'over' if each.until else 'open'}: {_cut(each.what)}" for each in incidents[:MAX_NAMED]]
    more = [f"- and {len(incidents) - MAX_NAMED} more"] if len(incidents) > MAX_NAMED else []
    return AlertText(
        id=f"summary-{round(now.timestamp() * 1000)}{'-escalate' if nobody_looked else ''}",
        what="escalate" if nobody_looked else "summary",
        at=now,
        title=title,
        body="\n".join([*named, *more, f"To do: {hints.gatehouse('incidents')}"]),
        bad=begun > 0,
        channels=channels,
        page="/incidents",
    )


def clock(time: datetime) -> str:
    """Return a time in the zone of the schedule, with its name."""
    return f"{time.astimezone(zone()):%Y-%m-%d %H:%M:%S %Z}"


def zone() -> ZoneInfo:
    """Return the time zone of the schedule; UTC if the table cannot be read."""
    try:
        table: ModuleType = config_lines.load(config_lines.SCHEDULE)
        return config_lines.zone(table)
    except config_lines.TableError:
        return ZoneInfo("UTC")


def _lines(incident: Incident, now: datetime) -> list[str]:
    until = incident.until
    lasted = f" until {clock(until)}, {_span(until - incident.since)}" if until else f", {_span(now - incident.since)}"
    return [
        clean(one_line(incident.what)),
        f"Since: {clock(incident.since)}{lasted}",
        *([f"It came back {_times(incident.again)} within an hour."] if incident.again else []),
        *([f"Tried: {clean(one_line(incident.tried))}"] if incident.tried else []),
        *([] if until else [f"To do: {clean(one_line(incident.todo))}"]),
    ]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _span(time: timedelta) -> str:
    seconds = max(0, round(time.total_seconds()))
    if seconds < 90:  # noqa: PLR2004 - a person counts seconds up to here
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{round(minutes / 60)} h"  # noqa: PLR2004 - and minutes up to here


def _cut(text: str) -> str:
    flat = clean(one_line(text))
    return flat if len(flat) <= MAX_TITLE else f"{flat[: MAX_TITLE - 1]}…"
