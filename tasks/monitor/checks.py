"""Checks and their results. Checks run in parallel, each within its own time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass
from threading import Thread

from pydantic import BaseModel, ConfigDict

from gatekeeper.redact import clean, describe

#: Seconds. A service that takes longer is as good as down for its users.
MAX_CHECK_SECONDS = 5.0
#: Characters of a value or a reason; all results together are one fact of the state file.
MAX_LENGTH = 200


class CheckResult(BaseModel):
    """The result of one check: `value` and `limit` as text, and `why` if there is a problem."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool
    value: str | None = None
    limit: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class Observation:
    """The observation of a check; `why` says what the problem is, empty if there is none."""

    value: str
    limit: str | None = None
    why: str = ""


@dataclass(frozen=True)
class Check:
    """One thing to check; if `observe` raises, the check has failed."""

    name: str
    observe: Callable[[], Observation]

    def check(self) -> CheckResult:
        """Observe, and return the result; never raises."""
        try:
            seen = self.observe()
        except Exception as error:  # noqa: BLE001 - any error is a failed check
            return failed(self.name, describe(error))
        return CheckResult(
            name=self.name,
            ok=not seen.why,
            value=_cut(seen.value),
            limit=seen.limit,
            why=_cut(clean(seen.why)) if seen.why else None,
        )


def failed(name: str, why: str) -> CheckResult:
    """Return the result of a check that could not be made."""
    return CheckResult(name=name, ok=False, why=_cut(why))


def run_all(checks: Iterable[Check], seconds: float = MAX_CHECK_SECONDS) -> list[CheckResult]:
    """Run all checks in parallel; one without a result after `seconds` has failed.

    The thread of such a check is left to end later, because a name look-up, for example, cannot be interrupted.
    """
    every = list(checks)
    found: dict[str, CheckResult] = {}
    threads = [Thread(target=copy_context().run, args=(_into, found, check), daemon=True) for check in every]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [found.get(check.name) or failed(check.name, f"no answer within {seconds:g} s") for check in every]


def _into(found: dict[str, CheckResult], check: Check) -> None:
    found[check.name] = check.check()


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"
