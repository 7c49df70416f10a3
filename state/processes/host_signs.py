"""The signs of life of hosts: what each process reports about the host that it runs on, every few seconds.

This informs people, as the records of processes do; no safety rests on it. Workers and beat send it along with their own
record, so that it costs no round trip.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from state import host
from state.redis import client
from state.redis.script import Script

#: Seconds between two reports of one process.
INTERVAL = 10.0
#: ms after which a host that gives no sign is forgotten, unless keys still name it: longer than a long weekend.
KEEP_MS = 7 * 24 * 3600 * 1000

_host = Script("host")


def key() -> str:
    """hash: mark of a host → JSON {name boot seen_ms kinds}, kinds: kind of process → {seen_ms version clock_ms agents}"""
    return "gate:{house}:hosts"


class HostSigns:
    """The reports of one process about its host.

    Args:
        kind: "worker", "beat" or "web".
        version: Of Gatehouse.
        agents: Return the agents whose calls this process runs.

    """

    def __init__(self, kind: str, version: str, agents: Callable[[], Sequence[str]] = tuple) -> None:
        self.kind, self.version, self._agents = kind, version, agents
        self.clock_ms: int | None = None  #: ms by which this machine's clock is ahead of the server's
        self._reported: float | None = None

    def due(self) -> str:
        """Return the report as JSON text; empty if the last one is younger than INTERVAL seconds, or the host has no name."""
        now = time.monotonic()
        if self._reported is not None and now - self._reported < INTERVAL:
            return ""
        self._reported = now
        try:
            name = host.this_host()
        except (OSError, host.UnusableHostName):  # reported where it does harm, and at the start of workers
            return ""
        known = {"clock_ms": self.clock_ms, "agents": sorted(self._agents())}
        about = {"name": name, "boot": _boot(), "kind": self.kind, "version": self.version}
        return json.dumps(about | {name: value for name, value in known.items() if value not in (None, [])})

    def compare_clock(self, asked_at: float, answered_ms: int) -> None:
        """Compare this machine's clock with that of the server, at the middle of the round trip.

        Args:
            asked_at: This machine's time before the question, in seconds since 1970.
            answered_ms: The server's time, in ms since 1970.

        """
        if self.clock_ms is None:
            self._reported = None  # tell it with the next report
        self.clock_ms = round((asked_at + time.time()) / 2 * 1000 - answered_ms)

    def report(self) -> None:
        """Report now if it is due, for a process that writes no record of its own. Raises StoreError."""
        text, asked_at = self.due(), time.time()
        if text:
            mark = host.mark_of(host.this_host())
            answer = _host(client.client(), {"hosts": key()}, mark=mark, host=text, keep_ms=KEEP_MS)
            self.compare_clock(asked_at, int(answer[1]))


def _boot() -> str:
    """Return which start of the machine this is: two hosts with one boot are two installations on one machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
