"""The monitor: looks at URLs, the machine, Redis and the other agents, and tells once what begins and what ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import gatekeeper
from gatekeeper.policies.spec import agents
from tasks.monitor import alerts, config, incidents, probes, schedule_checks
from tasks.monitor.checks import Check, CheckResult, failed, side_by_side
from tasks.monitor.config import Watch
from tasks.monitor.incidents import Change, Incident


@gatekeeper.task()
def check() -> dict[str, Any]:
    """Look at everything; what changed is looked at twice before it is believed and told."""
    memory, now = gatekeeper.memory(), datetime.now(UTC)
    last: dict[str, Any] = memory.get("verdict") or {}
    since = schedule_checks.watched_since(memory.get("watched_since") or {}, _time(last.get("at")), now)
    standing = {name: Incident.model_validate(told) for name, told in (memory.get("incidents") or {}).items()}

    checks, change = _look_twice(standing, since, now)

    for began in change.began:
        alerts.alert(began)
    for ended in change.ended:
        alerts.recovered(ended.name, ended.since, now)
    _remember(change, checks, now)
    memory.put("watched_since", since)
    return {
        "ok": all(seen.ok for seen in checks),
        "checks": len(checks),
        "failing": [seen.name for seen in checks if not seen.ok],
        "alerts": [began.name for began in change.began],
        "recovered": [ended.name for ended in change.ended],
    }


def _look_twice(
    standing: Mapping[str, Incident], since: Mapping[str, str], now: datetime
) -> tuple[list[CheckResult], Change]:
    """What was seen last of each thing, and what both looks say has changed."""
    watched, problem = _watched()
    first = side_by_side(_looks(watched, since, now))
    given = problem and [*problem, *_not_looked_at(standing, first)]
    doubtful = incidents.in_doubt(standing, [*first, *given])
    again: list[CheckResult] = []
    if doubtful:
        time.sleep(watched.second_look_seconds)
        again = side_by_side(look for look in _looks(watched, since, now) if look.name in doubtful)
    first, second = [*first, *given], [*again, *given]
    seen = {one.name: one for one in (*first, *second)}
    return list(seen.values()), incidents.confirm(standing, first, second, now)


def _watched() -> tuple[Watch, list[CheckResult]]:
    """What the file says; what is wrong in it is something to tell, and everything else goes on."""
    watched, problems = config.read()
    return watched, [failed(config.FILE, "; ".join(problems))] if problems else []


def _not_looked_at(standing: Mapping[str, Incident], seen: list[CheckResult]) -> list[CheckResult]:
    """What is not in order may be among what the broken file says; it has not ended because we cannot look."""
    missing = set(standing) - {one.name for one in seen} - {config.FILE}
    return [failed(name, f"not looked at: {config.FILE} cannot be read") for name in sorted(missing)]


def _looks(watched: Watch, since: Mapping[str, str], now: datetime) -> Iterator[Check]:
    yield from probes.looks(watched)
    yield from schedule_checks.looks(agents(), since, now)


def _remember(change: Change, checks: list[CheckResult], now: datetime) -> None:
    memory = gatekeeper.memory()
    verdict = {
        "at": now.isoformat(timespec="milliseconds"),
        "ok": all(seen.ok for seen in checks),
        "checks": [seen.model_dump() for seen in checks],
    }
    memory.put("verdict", verdict)
    memory.put("incidents", {name: incident.model_dump(mode="json") for name, incident in change.standing.items()})
    for ended in change.ended:
        memory.record("past_incidents", f"{ended.since.isoformat()} {ended.name}", value=ended.model_dump(mode="json"))
    if change.began:
        memory.count("total_alerts", len(change.began))


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
