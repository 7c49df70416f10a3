"""The sweeper: a timer in each worker's own loop that sends what is due, reclaims what is lost, and mirrors state."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from celery import bootsteps
from kombu import Queue
from kombu.exceptions import OperationalError

from gatekeeper.policies.spec import agents, registered
from state.agents.state_file import StateFiles
from state.errors import StoreError
from state.ledger import Ledger, LedgerStatus, sweep
from workers import followers, pulse

log = structlog.get_logger("gatehouse.sweeper")

#: Seconds between two sweeps: half of the second within which a mirror must follow Redis.
EVERY = 0.5
#: Seconds between two looks at the broker's queue, each of which costs a connection.
LOOK_EVERY = 2.0
#: Lock files of dead processes are cleared this often (in sweeps): about once a minute.
BURY_EVERY = 120
#: A look at the clock of Redis, about every ten seconds and with the first sweep.
CLOCK_EVERY = 20


class Sweeper(bootsteps.StartStopStep):
    """Runs in the worker's main loop, so a pool that forks never forks a thread of ours."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None
        self._sweeps = 0
        self._empty: dict[str, tuple[float, bool]] = {}  #: by queue: when somebody looked, and what was seen
        self._closed: dict[str, str | None] = {}

    def start(self, parent: Any) -> None:
        """Begin with the consumer; after a lost connection it is started anew."""
        self._app, self._ledger = parent.app, Ledger()
        self._mirror = StateFiles(agents())
        pulse.swept()  # from now on it is expected to
        self._timer = parent.timer.call_repeatedly(EVERY, self.sweep)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        """End with the consumer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def sweep(self) -> None:
        """One round; a store that is away is a reason to come back, not to stop."""
        with _coming_back():
            standings = self._ledger.statuses(agents())
            pending = self._ledger.pending(agents())
            arrived_ms = sweep.newest_arrival(pending.values())
            for agent in agents():
                with _coming_back():  # the trouble of one is not that of the others
                    self._look_after_ledger(agent, standings[agent])
                with _coming_back():
                    if pending[agent].needs_sweep:
                        self._sweep_calls(agent, arrived_ms)
                    if pending[agent].has_followed:
                        followers.sweep(self._app, agent)
                    self._look_at_clock(agent)
            self._mirror.refresh({agent: each.revision for agent, each in pending.items()})
            self._bury()
            pulse.swept()

    def _sweep_calls(self, agent: str, arrived_ms: Mapping[str, int]) -> None:
        for key, stands in self._ledger.reclaim_lost(agent).items():
            log.warning("reclaimed", agent=agent, key=key, state=stands)
        for due in self._ledger.due(agent, registered(), self._queue_is_empty, arrived_ms):
            log.info("sent again", agent=agent, task=due.task, call=due.call)
            self._app.resend(due)

    def _look_at_clock(self, agent: str) -> None:
        if self._sweeps % CLOCK_EVERY == 0:
            leases = [gate.lease_ms for gate in registered().values() if gate.agent == agent]
            self._ledger.mend_clock(agent, max(leases, default=0))

    def _look_after_ledger(self, agent: str, standing: LedgerStatus) -> None:
        """After a restart of Redis effects go on by themselves if nothing was lost; else say so, once."""
        why = standing.closed
        if why is None and standing.unchecked:
            why = self._ledger.resync(agent)
            log.info("redis checked after a restart", agent=agent, effects="closed" if why else "open")
        if why is None and standing.incomplete and agent in _with_effects():
            why = self._ledger.take_over(agent)
        self._say(agent, why)

    def _say(self, agent: str, why: str | None) -> None:
        if why == self._closed.get(agent):
            return
        self._closed[agent] = why
        if why:
            log.critical("effects are closed", agent=agent, why=why, next="celery -A workers gate recover")
        else:
            log.info("effects are open", agent=agent)

    def _queue_is_empty(self, name: str) -> bool:
        """While messages wait in a queue, none of the calls behind them is lost."""
        looked, is_empty = self._empty.get(name, (-LOOK_EVERY, False))
        if time.monotonic() - looked >= LOOK_EVERY:
            is_empty = self._look_into_queue(name or self._app.conf.task_default_queue)
            self._empty[name] = time.monotonic(), is_empty
        return is_empty

    def _look_into_queue(self, name: str) -> bool:
        with self._app.connection_for_read() as connection:
            queue: Any = Queue(name)
            try:
                return bool(queue.bind(connection.default_channel).queue_declare(passive=True).message_count == 0)
            except connection.channel_errors:
                return True  # Redis keeps no empty lists, so an empty queue is one that is not there

    def _bury(self) -> None:
        self._sweeps += 1
        if self._sweeps % BURY_EVERY == 0 and not any(self._closed.values()):
            # While Redis has forgotten something, an owner that nobody names may still be asked about.
            self._ledger.remove_stale_locks(agents())


def _with_effects() -> set[str]:
    return {gate.agent for gate in registered().values() if gate.effect}


@contextmanager
def _coming_back() -> Iterator[None]:
    try:
        yield
    except (StoreError, OperationalError, OSError, ValueError) as error:
        log.warning("sweep failed", error=str(error), next=f"again in {EVERY} s")
