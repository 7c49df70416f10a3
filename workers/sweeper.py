"""The sweeper: a timer in each worker that sends due calls, reclaims lost claims and writes the state files.

A sweep of a system at rest costs one round trip, and every fourth one two, however many agents there are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from kombu import Queue
from kombu.exceptions import OperationalError

from gatekeeper.policies.spec import agents, registered
from state.agents.state_file import StateFiles
from state.errors import JournalUnavailable, StoreError
from state.ledger import Ledger, LedgerStatus
from state.ledger.pending import newest_arrival
from workers import followers, pulse
from workers.timer_step import TimerStep

log = structlog.get_logger("gatehouse.sweeper")

#: Seconds between two sweeps: half of the second within which a state file must follow Redis.
EVERY = 0.5
#: Seconds for which the answer whether a queue is empty is reused; asking costs a connection to the broker.
QUEUE_CHECK_EVERY = 2.0
#: Sweeps between two removals of the lock files of dead processes: about a minute.
STALE_LOCKS_EVERY = 120
#: Sweeps between two comparisons of Redis with the journal, and at each start of the timer, so after a lost connection:
#: two seconds. They are for people, and open effects again; what closes effects is asked by each effect itself.
LEDGER_EVERY = 4
#: Sweeps between two reports of dead processes of this host to the others: five seconds. The first sweep reports too.
DEATHS_EVERY = 10
#: Sweeps between two checks of the clock of Redis: about ten seconds. The first sweep checks it too.
CLOCK_EVERY = 20


class Sweeper(TimerStep):
    """The timer. It runs in the worker's event loop and not in a thread, which a pool that forks would copy."""

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._sweeps = 0
        self._empty: dict[str, tuple[float, bool]] = {}  #: by queue: when it was checked, and the answer
        self._closed: dict[str, str | None] = {}

    def start(self, parent: Any) -> None:
        """Start the timer. Celery calls this after every reconnection, too."""
        self._app, self._ledger, self._sweeps = parent.app, Ledger(), 0
        self._state_files = StateFiles(agents())
        pulse.of_worker().record_sweep()  # a sweeper that never succeeds is reported from now on
        self.repeat(parent, EVERY, self.sweep)

    def sweep(self) -> None:
        """Run one sweep. Log an error of Redis, the broker or the disk; the next sweep tries again."""
        with _logged():
            statuses = self._statuses() if self._sweeps % LEDGER_EVERY == 0 else {}
            pending = self._ledger.pending(agents())
            arrived_ms = newest_arrival(pending.values())
            for agent in agents():
                with _logged():  # an error with one agent must not stop the sweep of the others
                    if agent in statuses:
                        self._check_ledger(agent, statuses[agent])
                with _logged():
                    if pending[agent].needs_sweep:
                        self._sweep_calls(agent, arrived_ms)
                    if pending[agent].has_expired:
                        self._expire(agent)
                    if pending[agent].has_followed:
                        followers.sweep(self._app, agent)
                    self._check_clock(agent)
                    if pending[agent].has_unwritten and self._sweeps % CLOCK_EVERY == 0:
                        self._ledger.write_decisions(agent)
            with _logged():
                self._report_deaths()
            self._state_files.refresh({agent: each.revision for agent, each in pending.items()})
            self._clean_up()
            pulse.of_worker().record_sweep()

    def _statuses(self) -> dict[str, LedgerStatus]:
        """Return the status of each agent's ledger. A journal that cannot be read closes effects, and nothing else."""
        try:
            return self._ledger.statuses(agents())
        except JournalUnavailable as error:
            away, with_effects = LedgerStatus.without_journal(error), _agents_with_effects()
            return {agent: away if agent in with_effects else LedgerStatus(None, unchecked=False) for agent in agents()}

    def _sweep_calls(self, agent: str, arrived_ms: Mapping[str, int]) -> None:
        for key, state in self._ledger.reclaim_lost(agent).items():
            log.warning("reclaimed", agent=agent, key=key, state=state)
        for due in self._ledger.due(agent, registered(), self._queue_is_empty, arrived_ms):
            log.info("sent again", agent=agent, task=due.task, call=due.call)
            if not self._app.resend(due):
                break  # the broker is away: each further try would stop the worker's loop for its deadline

    def _report_deaths(self) -> None:
        if self._sweeps % DEATHS_EVERY == 0:
            for each in self._ledger.report_deaths(agents()):
                log.warning("process dead", agent=each.agent, key=each.key, owner=each.owner)

    def _expire(self, agent: str) -> None:
        for key in self._ledger.expire(agent):
            log.warning("approval expired", agent=agent, key=key)

    def _check_clock(self, agent: str) -> None:
        if self._sweeps % CLOCK_EVERY == 0:
            leases = [spec.lease_ms for spec in registered().values() if spec.agent == agent]
            self._ledger.mend_clock(agent, max(leases, default=0))

    def _check_ledger(self, agent: str, status: LedgerStatus) -> None:
        """Compare Redis with the journal after a restart of Redis, and log whether effects are open."""
        reason = status.closed
        if reason is None and status.unchecked:
            reason = self._ledger.resync(agent)
            log.info("redis checked after a restart", agent=agent, effects="closed" if reason else "open")
        if reason is None and status.incomplete and agent in _agents_with_effects():
            reason = self._ledger.take_over(agent)
        self._log_change(agent, reason, status.command)

    def _log_change(self, agent: str, reason: str | None, command: str) -> None:
        if reason == self._closed.get(agent):
            return
        self._closed[agent] = reason
        if reason:
            log.critical("effects are closed", agent=agent, why=reason, hint=command)
        else:
            log.info("effects are open", agent=agent)

    def _queue_is_empty(self, name: str) -> bool:
        """Tell whether a queue has no messages: while it has, a call whose message did not arrive is not lost."""
        checked, is_empty = self._empty.get(name, (-QUEUE_CHECK_EVERY, False))
        if time.monotonic() - checked >= QUEUE_CHECK_EVERY:
            is_empty = self._ask_broker(name or self._app.conf.task_default_queue)
            self._empty[name] = time.monotonic(), is_empty
        return is_empty

    def _ask_broker(self, name: str) -> bool:
        with self._app.connection_for_read() as connection:
            queue: Any = Queue(name)
            try:
                return bool(queue.bind(connection.default_channel).queue_declare(passive=True).message_count == 0)
            except connection.channel_errors:
                return True  # Redis deletes a list when it becomes empty
            except connection.connection_errors as error:
                raise OperationalError(f"the broker does not say what waits in {name}: {error}") from error

    def _clean_up(self) -> None:
        self._sweeps += 1
        if self._sweeps % STALE_LOCKS_EVERY == 0 and not any(self._closed.values()):
            # While a ledger is closed, Redis may lack claims whose owners `gate recover` will have to check.
            self._ledger.remove_stale_locks(agents())


def _agents_with_effects() -> set[str]:
    return {spec.agent for spec in registered().values() if spec.effect}


@contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except (StoreError, OperationalError, OSError, ValueError) as error:
        log.warning("sweep failed", error=str(error), hint=f"tried again in {EVERY} s")
