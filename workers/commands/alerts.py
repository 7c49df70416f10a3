"""`gate alert-test` and `gate incidents`: whether alerts arrive, and what is and was wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import click

from clients import alerts
from clients.alerts import AlertAnswer, AlertChannel
from tasks.monitor import incident_log
from tasks.monitor.incident_log import Incident
from workers.commands import times
from workers.commands.output import Failed, command, plain, show, table
from workers.people import person

#: Incidents that ended and are listed.
PAST = 20


@command("alert-test", "alert-test", "alert-test --json")
def alert_test(*, json_: bool) -> None:
    """Send a test alert to every channel, and tell their answers. Needs no worker and no Redis."""
    channels = [*alerts.ordinary(), *alerts.urgent()]
    if not channels:
        raise Failed("ALERT_URLS names no channel, so nobody is told of an incident; docs/alerts.md has examples")
    with ThreadPoolExecutor(len(channels)) as pool:
        answers = list(pool.map(_test, channels))
    told = [
        {"channel": str(channel), "answer": answer.outcome, "why": answer.why}
        for channel, answer in zip(channels, answers, strict=True)
    ]
    show(json_, told, table([(each["channel"], each["answer"], each["why"]) for each in told]))
    if any(answer.outcome != "sent" for answer in answers):
        raise click.exceptions.Exit(1)


def _test(channel: AlertChannel) -> AlertAnswer:
    text = f"{person()} tries this channel with: gatehouse alert-test. Nothing is wrong."
    return alerts.deliver(channel, "Gatehouse: a test", text, bad=False)


@command("incidents", "incidents", "incidents --json")
def incidents(*, json_: bool) -> None:
    """Show what is wrong now and what was, each with its alerts."""
    now, open_, past = datetime.now(UTC), incident_log.current(), incident_log.past(PAST)
    found = {"current": [_in_json(each) for each in open_], "past": [_in_json(each) for each in past]}
    lines = [line for each in open_ for line in _lines(each, now)] or ["Nothing is wrong."]
    if past:
        rows = [(f"{times.ago(each.until or now, now)}", plain(each.what), _told(each)) for each in past]
        lines += ["", "Over:", table(rows)]
    show(json_, found, "\n".join(lines))


def _in_json(incident: Incident) -> dict[str, Any]:
    return incident.model_dump(mode="json")


def _lines(incident: Incident, now: datetime) -> list[str]:
    return [
        f"{times.ago(incident.since, now)}: {plain(incident.what)}",
        *([f"    tried: {plain(incident.tried)}"] if incident.tried else []),
        f"    to do: {plain(incident.todo)}",
        f"    {_told(incident)}",
    ]


def _told(incident: Incident) -> str:
    """Return what became of the newest alert of an incident."""
    if not incident.alerts:
        return "no alert yet" if incident.until is None else "no alert"
    newest = incident.alerts[-1]
    said = ", ".join(f"{channel} {state}" for channel, state in newest.states.items())
    return f"alert ({newest.what}): {said}"


commands = (alert_test, incidents)
