"""Incidents: from the moment a check was not in order until it is again.

A change is believed when two looks, some seconds apart, say the same: a process that is just starting raises no alarm,
and one good answer in the middle of an outage is no recovery.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import AwareDatetime, BaseModel, ConfigDict

from tasks.monitor.checks import CheckResult


class Incident(BaseModel):
    """One thing that is not in order; `until` is None while that lasts."""

    model_config = ConfigDict(frozen=True)

    name: str
    since: AwareDatetime
    until: AwareDatetime | None = None
    value: str | None = None
    limit: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class Change:
    """What two looks changed: the incidents that are open now, those that began, and those that ended."""

    standing: dict[str, Incident]
    began: list[CheckResult]
    ended: list[Incident]


def unconfirmed(standing: Mapping[str, Incident], checks: Iterable[CheckResult]) -> set[str]:
    """The names of which a look says something else than is believed; they deserve a second one."""
    return set(standing) ^ _failing(checks)


def confirm(
    standing: Mapping[str, Incident], first: list[CheckResult], second: list[CheckResult], now: AwareDatetime
) -> Change:
    """Change what both looks agree on. What is not looked at any more (a resolved key, a removed URL) has ended."""
    doubtful = unconfirmed(standing, first)
    failing = {check.name: check for check in second if not check.ok and check.name in doubtful}
    began = [failing[name] for name in sorted(doubtful - set(standing)) if name in failing]
    over = sorted(doubtful & set(standing) - set(failing))
    opened = {check.name: _incident(check, now) for check in began}
    return Change(
        standing={name: incident for name, incident in standing.items() if name not in over} | opened,
        began=began,
        ended=[standing[name].model_copy(update={"until": now}) for name in over],
    )


def _failing(checks: Iterable[CheckResult]) -> set[str]:
    return {check.name for check in checks if not check.ok}


def _incident(check: CheckResult, now: AwareDatetime) -> Incident:
    return Incident(name=check.name, since=now, value=check.value, limit=check.limit, why=check.why)
