"""A check: one look at one thing, and what was seen. Looks run side by side, each bounded in time and on its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass
from threading import Thread

from pydantic import BaseModel, ConfigDict

from gatekeeper.redact import clean, describe

#: Seconds. What answers later than this does not help anybody who waits for it.
MAX_CHECK_SECONDS = 5.0
#: Characters; a verdict is one fact of the state file, and has to stay readable.
MAX_LENGTH = 200


class CheckResult(BaseModel):
    """What was seen: `value` and `limit` as a person writes them, and `why` if it is not in order."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool
    value: str | None = None
    limit: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class Observation:
    """What a look brings home; `why` says what is wrong, empty if nothing is."""

    value: str
    limit: str | None = None
    why: str = ""


@dataclass(frozen=True)
class Check:
    """One thing to look at. `at` may raise: that is a check that is not in order."""

    name: str
    at: Callable[[], Observation]

    def check(self) -> CheckResult:
        """Look, whatever happens."""
        try:
            seen = self.at()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is what was seen
            return failed(self.name, describe(error))
        return CheckResult(
            name=self.name,
            ok=not seen.why,
            value=_cut(seen.value),
            limit=seen.limit,
            why=_cut(clean(seen.why)) if seen.why else None,
        )


def failed(name: str, why: str) -> CheckResult:
    """A check that could not be made."""
    return CheckResult(name=name, ok=False, why=_cut(why))


def run_all(looks: Iterable[Check], seconds: float = MAX_CHECK_SECONDS) -> list[CheckResult]:
    """Take all looks at once; one that has not come back after `seconds` is a failed check.

    Threads that nobody waits for any more end by themselves: a name look-up, for one, cannot be interrupted.
    """
    every = list(looks)
    found: dict[str, CheckResult] = {}
    threads = [Thread(target=copy_context().run, args=(_into, found, look), daemon=True) for look in every]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [found.get(look.name) or failed(look.name, f"no answer within {seconds:g} s") for look in every]


def _into(found: dict[str, CheckResult], look: Check) -> None:
    found[look.name] = look.check()


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"
