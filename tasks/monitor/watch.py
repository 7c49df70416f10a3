"""One look of the bell: read what is wrong, decide what to tell, and keep it in the book before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import settings
from clients import alerts
from state.agents import attention, incidents
from state.agents.incidents import BookChange
from tasks.monitor import conditions, incident_log, ringing, slow_conditions, wording
from tasks.monitor.conditions import Condition
from tasks.monitor.records import PendingAlert
from tasks.monitor.ringing import Rules

#: Seconds between two looks of all workers together.
EVERY = 10.0
#: Seconds for which the slow conditions are used again.
SLOW_EVERY = 30.0


class Watch:
    """The looks of one process."""

    def __init__(self) -> None:
        self._slow: list[Condition] = []
        self._slow_at = -SLOW_EVERY

    def look(self) -> tuple[PendingAlert, ...]:
        """Look once, unless another worker did so less than EVERY seconds ago.

        Returns:
            The alerts whose calls have to be registered.

        Raises:
            StoreError: Redis does not answer.

        """
        if not incidents.take_turn(round(EVERY * 1000) - 500):
            return ()
        now = datetime.now(UTC)
        found = [*conditions.of_agents(now), *conditions.of_check(now), *self._slowly(now)]
        applying = rules(now)
        outbox: list[PendingAlert] = []

        def update(text: str) -> BookChange:
            step = ringing.step(incident_log.parse(text), found, now, applying)
            outbox[:] = step.book.outbox
            return BookChange(
                step.book.model_dump_json(exclude_defaults=True),
                [each.model_dump_json(exclude_defaults=True) for each in step.over],
                {each.id: each.model_dump_json() for each in step.messages},
            )

        incidents.change_book(update)
        return tuple(outbox)

    def _slowly(self, now: datetime) -> list[Condition]:
        if time.monotonic() - self._slow_at >= SLOW_EVERY:
            self._slow, self._slow_at = list(slow_conditions.all_of(now)), time.monotonic()
        return self._slow


def handed_over(done: Sequence[PendingAlert]) -> None:
    """Remove alerts from the outbox whose calls are registered; raises StoreError."""
    ids = {each.id for each in done}

    def update(text: str) -> BookChange:
        book = incident_log.parse(text)
        left = tuple(each for each in book.outbox if each.id not in ids)
        return BookChange(book.model_copy(update={"outbox": left}).model_dump_json(exclude_defaults=True))

    if ids:
        incidents.change_book(update)


def rules(now: datetime) -> Rules:
    """Return the settings as they apply now; raises StoreError."""
    here, look = settings.current(), attention.last_looked()
    return Rules(
        channels=tuple(each.name for each in alerts.ordinary()),
        urgent_channels=tuple(each.name for each in alerts.urgent()),
        quiet=is_quiet(here.quiet_hours, now.astimezone(wording.zone())),
        escalate_after=timedelta(seconds=here.escalate_after),
        looked=look.at if look else None,
    )


def is_quiet(hours: tuple[int, int] | None, local: datetime) -> bool:
    """Return whether a local time is in QUIET_HOURS, which may go past midnight."""
    if hours is None:
        return False
    (begin, end), minute = hours, local.hour * 60 + local.minute
    return begin <= minute < end if begin < end else minute >= begin or minute < end
