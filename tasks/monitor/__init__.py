"""The monitor: check URLs, the machine, Redis and the other agents, and report each incident once when it begins and ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import gatekeeper
from gatekeeper.policies.spec import agents
from gatekeeper.schedule.entries import Schedule
from tasks.monitor import alerts, config, incidents, probes, schedule_checks, sending
from tasks.monitor.checks import Check, CheckResult, failed, run_all
from tasks.monitor.config import MonitorConfig
from tasks.monitor.incidents import Change, FailingCheck


@gatekeeper.task()
def check() -> dict[str, Any]:
    """Run all checks; a check whose result changed runs twice before the change is believed and reported."""
    memory, now = gatekeeper.memory(), datetime.now(UTC)
    last: dict[str, Any] = memory.get("verdict") or {}
    schedule = schedule_checks.schedule()
    before = memory.get("watched_since") or {}
    since = schedule_checks.watched_since(schedule.entries, before, _time(last.get("at")), now)
    standing = {name: FailingCheck.model_validate(fields) for name, fields in (memory.get("incidents") or {}).items()}

    results, change = _check_twice(standing, lambda config: _checks(config, schedule, since, now), now)

    for began in change.began:
        alerts.alert(began)
    for ended in change.ended:
        alerts.recovered(ended.name, ended.since, now)
    _remember(change, results, now)
    memory.put("watched_since", since)
    return {
        "ok": all(result.ok for result in results),
        "checks": len(results),
        "failing": [result.name for result in results if not result.ok],
        "alerts": [began.name for began in change.began],
        "recovered": [ended.name for ended in change.ended],
    }


@gatekeeper.task(key="alert:{alert}:{channel}", lease="2m", time_limit="1m", backoff="10s", max_age="2d")
def alert(alert: str, channel: str) -> dict[str, Any]:
    """Send one alert to one channel. It may be sent twice rather than never, so it is not an effect: see decision 18."""
    return sending.send(alert, channel)


def failing(names: Collection[str], since: Mapping[str, str]) -> set[str]:
    """Run the checks of some incidents once more.

    Args:
        names: The checks; one that does not exist any more does not fail.
        since: The monitor's fact `watched_since`.

    Returns:
        The names of those that fail now.

    """
    schedule, now = schedule_checks.schedule(), datetime.now(UTC)
    known = {name: since.get(name, now.isoformat()) for name in schedule.entries}
    configured, problems = _config()
    results = run_all(each for each in _checks(configured, schedule, known, now) if each.name in names)
    unseen = set(names) - {result.name for result in results} if problems else set()
    return unseen | {result.name for result in results if not result.ok}


def _check_twice(
    standing: Mapping[str, FailingCheck], checks: Callable[[MonitorConfig], Iterator[Check]], now: datetime
) -> tuple[list[CheckResult], Change]:
    """Run the checks, and those with a new result again after a pause; return the last results and the change."""
    configured, problems = _config()
    first = run_all(checks(configured))
    fixed = problems and [*problems, *_not_checked(standing, first)]
    doubtful = incidents.unconfirmed(standing, [*first, *fixed])
    again: list[CheckResult] = []
    if doubtful:
        time.sleep(configured.second_look / 1000)
        again = run_all(check for check in checks(configured) if check.name in doubtful)
    first, second = [*first, *fixed], [*again, *fixed]
    latest = {result.name: result for result in (*first, *second)}
    return list(latest.values()), incidents.confirm(standing, first, second, now)


def _checks(configured: MonitorConfig, schedule: Schedule, since: Mapping[str, str], now: datetime) -> Iterator[Check]:
    yield from probes.checks(configured)
    yield from schedule_checks.checks(schedule, agents(), since, now)


def _config() -> tuple[MonitorConfig, list[CheckResult]]:
    """Read the configuration; its problems become a failed check, and the usable rest is checked."""
    configured, problems = config.read()
    return configured, [failed(config.FILE, "; ".join(problems))] if problems else []


def _not_checked(standing: Mapping[str, FailingCheck], results: list[CheckResult]) -> list[CheckResult]:
    """Return a failed check for each incident that no check covers because the configuration is broken.

    Without it the incident would end, although its URL may still be down.
    """
    missing = set(standing) - {result.name for result in results} - {config.FILE}
    return [failed(name, f"not looked at: {config.FILE} cannot be read") for name in sorted(missing)]


def _remember(change: Change, results: list[CheckResult], now: datetime) -> None:
    memory = gatekeeper.memory()
    verdict = {
        "at": now.isoformat(timespec="milliseconds"),
        "ok": all(result.ok for result in results),
        "checks": [result.model_dump() for result in results],
    }
    memory.put("verdict", verdict)
    memory.put("incidents", {name: incident.model_dump(mode="json") for name, incident in change.standing.items()})
    for ended in change.ended:
        memory.record("past_incidents", f"{ended.since.isoformat()} {ended.name}", value=ended.model_dump(mode="json"))
    if change.began:
        memory.count("total_alerts", len(change.began))


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
