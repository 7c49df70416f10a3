"""The alert channels in `gate doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from clients import alerts
from workers.commands.vitals import Finding


def findings() -> Iterator[Finding]:
    """Yield how many channels are told of an incident, and each address that apprise does not understand."""
    ordinary, urgent = alerts.ordinary(), alerts.urgent()
    if not ordinary:
        yield Finding("alerts", "nobody is told of an incident: ALERT_URLS names no channel; see docs/alerts.md")
        return
    problems = list(filter(None, map(alerts.problem, (*ordinary, *urgent))))
    for problem in problems:
        yield Finding("alerts", problem, "correct ALERT_URLS or ALERT_URLS_URGENT")
    if not problems:
        names = ", ".join(map(str, (*ordinary, *urgent)))
        yield Finding("alerts", f"{names}; try them with: gatehouse alert-test")
