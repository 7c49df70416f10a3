"""Incidents: periods in which a check fails.

A change is confirmed when two checks, some seconds apart, agree: a process that is just starting does not cause an alert,
and a single good response during an outage does not end it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import AwareDatetime, BaseModel, ConfigDict

from tasks.monitor.checks import CheckResult


class FailingCheck(BaseModel):
    """A check that fails; `until` is None as long as it fails."""

    model_config = ConfigDict(frozen=True)

    name: str
    since: AwareDatetime
    until: AwareDatetime | None = None
    value: str | None = None
    limit: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class Change:
    """The confirmed change: the incidents that are open now, those that began, and those that ended."""

    standing: dict[str, FailingCheck]
    began: list[CheckResult]
    ended: list[FailingCheck]


def unconfirmed(standing: Mapping[str, FailingCheck], checks: Iterable[CheckResult]) -> set[str]:
    """Return the names of the checks whose result differs from the open incidents; they need a second check."""
    return set(standing) ^ _failing(checks)


def confirm(
    standing: Mapping[str, FailingCheck], first: list[CheckResult], second: list[CheckResult], now: AwareDatetime
) -> Change:
    """Return the change that both checks agree on; an incident without a check (a removed URL) has ended.

    Args:
        standing: The open incidents by name.
        first: The results of all checks.
        second: The results of the checks that were `unconfirmed`.
        now: The current time.

    """
    doubtful = unconfirmed(standing, first)
    failing = {check.name: check for check in second if not check.ok and check.name in doubtful}
    began = [failing[name] for name in sorted(doubtful - set(standing)) if name in failing]
    over = sorted(doubtful & set(standing) - set(failing))
    opened = {check.name: FailingCheck(since=now, **check.model_dump(exclude={"ok"})) for check in began}
    return Change(
        standing={name: incident for name, incident in standing.items() if name not in over} | opened,
        began=began,
        ended=[standing[name].model_copy(update={"until": now}) for name in over],
    )


def _failing(checks: Iterable[CheckResult]) -> set[str]:
    return {check.name for check in checks if not check.ok}
