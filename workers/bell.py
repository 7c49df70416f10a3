"""The bell: a timer in each worker that looks for what needs a person, and submits the alerts. One worker looks at a time."""

from __future__ import annotations

from typing import Any

import structlog

from gatekeeper.errors import InvalidArguments
from state.agents import watched
from state.errors import JournalUnavailable, StoreError
from tasks.monitor import incident_log, watch
from tasks.monitor.records import PendingAlert
from tasks.monitor.watch import Watch
from workers.timer_step import TimerStep

log = structlog.get_logger("gatehouse.bell")

#: Seconds between two tries to take the turn, of which one in `watch.EVERY` seconds is granted.
EVERY = 5.0


class Bell(TimerStep):
    """The timer. What it decides is in the book before a call is registered, and a call has the same id each time."""

    def start(self, parent: Any) -> None:
        """Start the timer. Celery calls this after every reconnection, too."""
        self._app, self._watch = parent.app, Watch()
        self.repeat(parent, EVERY, self.ring)

    def ring(self) -> None:
        """Look, and submit the alerts that are not registered yet; log an error, and try again at the next look."""
        try:
            outbox = self._watch.look()
            if outbox and not self._is_paused():
                watch.handed_over([self._submitted(each) for each in outbox])
        except (StoreError, JournalUnavailable, OSError, ValueError) as error:
            log.warning("no look", error=str(error), hint=f"tried again in {EVERY:g} s")

    def _submitted(self, pending: PendingAlert) -> PendingAlert:
        """Register a call for each channel of an alert; one that is registered already changes nothing.

        An error of the stores is raised, and the alert stays in the outbox; a call that a person revoked is not made.
        """
        for channel in pending.channels:
            name = incident_log.alert_key(pending.id, channel)
            try:
                self._app.send_task(incident_log.TASK, kwargs={"alert": pending.id, "channel": channel}, task_id=name)
            except InvalidArguments as error:
                log.error("alert not registered", call=name, error=str(error))  # noqa: TRY400 - the sentence says all
        return pending

    def _is_paused(self) -> bool:
        """Return whether the monitor is paused: its calls would be refused, so the alerts wait in the outbox."""
        (monitor,) = watched.read([incident_log.AGENT])
        return any("task" not in each for each in monitor.pauses)
