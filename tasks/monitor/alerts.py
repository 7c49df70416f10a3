"""Send alerts: for now to the log."""

from __future__ import annotations

from datetime import datetime

import structlog

from tasks.monitor.checks import CheckResult

log = structlog.get_logger("gatehouse.alerts")


def alert(check: CheckResult) -> None:
    """Report that an incident began."""
    log.error("alert", agent="monitor", check=check.name, value=check.value, limit=check.limit, why=check.why)


def recovered(name: str, since: datetime, until: datetime) -> None:
    """Report that an incident ended, at the level of the alert, so that a filter shows both or neither."""
    lasted = round((until - since).total_seconds())
    log.error("recovered", agent="monitor", check=name, since=since.isoformat(timespec="seconds"), lasted=lasted)
