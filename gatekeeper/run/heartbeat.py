"""The heartbeat: one thread per process that renews the leases of the claims it works on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from gatekeeper.run.attempt import Attempt
from state.errors import StoreError
from state.ledger import owner

log = structlog.get_logger()

#: Seconds between two looks. A lease is renewed once a third of it is gone, so short tasks never cost a round trip.
EVERY = 1.0


@dataclass
class _Beat:
    attempt: Attempt
    renew_at: float
    overdue_at: float


class Heartbeat:
    """The renewal of this process's claims for as long as their attempts run.

    An attempt past its time limit keeps its claim too: a pool of threads cannot end it, and a second attempt beside it
    would be worse. The log says so.
    """

    def __init__(self) -> None:
        self._beats: dict[str, _Beat] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def renewing(self, attempt: Attempt) -> Iterator[None]:
        """Renew the claim of an attempt inside the block."""
        now, owner = time.monotonic(), attempt.claim.owner
        with self._lock:
            self._beats[owner] = _Beat(
                attempt, now + attempt.limits.lease_ms / 3000, now + attempt.spec.limit_ms / 1000
            )
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            self._forget(owner)

    def _forget(self, owner: str) -> None:
        with self._lock:
            self._beats.pop(owner, None)

    def forget_all(self) -> None:
        """Begin anew in a forked child. The lock is a new one: another thread of the parent may have held it."""
        self._beats, self._lock, self._thread = {}, threading.Lock(), None

    def _run(self) -> None:
        while True:
            time.sleep(EVERY)
            now = time.monotonic()
            with self._lock:
                due = [beat for beat in self._beats.values() if beat.renew_at <= now]
            for beat in due:
                self._renew(beat, now)

    def _renew(self, beat: _Beat, now: float) -> None:
        attempt, claim = beat.attempt, beat.attempt.claim
        asked_at = owner.boot_clock().ms
        try:
            held = attempt.ledger.renew(claim, attempt.limits)
        except StoreError as error:
            log.warning("heartbeat failed", key=claim.key, error=str(error))
            return
        beat.renew_at = now + attempt.limits.lease_ms / 3000
        if now >= beat.overdue_at:
            log.warning("over its time limit", agent=claim.agent, key=claim.key, owner=claim.owner)
        if held:
            attempt.wire.lease_ends_ms = asked_at + attempt.limits.lease_ms
        else:
            log.error("claim lost", agent=claim.agent, call=claim.call, key=claim.key, owner=claim.owner)
            self._forget(claim.owner)


heartbeat = Heartbeat()

os.register_at_fork(after_in_child=heartbeat.forget_all)
