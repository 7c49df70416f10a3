"""Where alerts go: the log, for now. Channels that reach a person come behind these two functions."""

from __future__ import annotations

from datetime import datetime

import structlog

from tasks.monitor.checks import CheckResult

log = structlog.get_logger("gatehouse.alerts")


def alert(check: CheckResult) -> None:
    """Tell once that something is not in order."""
    log.error("alert", agent="monitor", check=check.name, value=check.value, limit=check.limit, why=check.why)


def recovered(name: str, since: datetime, until: datetime) -> None:
    """Tell once that it is in order again; at the level of the alert, so that nobody sees one without the other."""
    lasted = round((until - since).total_seconds())
    log.error("recovered", agent="monitor", check=name, since=since.isoformat(timespec="seconds"), lasted=lasted)
