"""The metrics of the installation as a whole: processes, queues, schedule, Redis, journal and disk."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence

import structlog

import settings
from gatekeeper.redact import clean
from state import health
from state.errors import StoreError
from state.processes import backlog, hosts, liveness
from tasks.monitor import overdue, schedule_checks
from web.metrics.catalogue import Sample, Samples

log = structlog.get_logger("gatehouse.web")

#: Hosts of which metrics tell, those with the newest signs: each is a value of a label.
MAX_HOSTS = 50


def samples(agents: Sequence[str]) -> Samples:
    """Yield what Redis knows of the installation; raises StoreError."""
    running, late = overdue.current()
    silent = Counter(each.kind for each in running.silent)
    for kind in liveness.KINDS:
        yield Sample("processes", (kind,), len(running.of(kind)))
    for kind in (*liveness.KINDS, "sweeper", "queue"):
        yield Sample("processes_silent", (kind,), silent[kind])
    for each in backlog.of_queues(agents):
        yield Sample("backlog_calls", (each.queue or "default",), each.calls)
        yield Sample(
            "backlog_oldest_seconds", (each.queue or "default",), max(0, running.now_ms - each.since_ms) / 1000
        )
    overdue_entries = {each.entry for each in late}
    for entry in schedule_checks.schedule().entries.values():
        yield Sample("tick_overdue", (entry.agent, entry.name), entry.name in overdue_entries)
    yield from _hosts()
    yield from _broker()
    yield from _redis()


def _broker() -> Samples:
    """Yield what waits in the broker; nothing if it is another server and does not answer: the others are known then."""
    chosen = settings.current()
    try:
        yield Sample("broker_messages", (), health.queue_depth(chosen.broker_url))
    except StoreError as error:
        if chosen.broker_url == chosen.redis_url:
            raise
        log.warning("broker away", error=clean(str(error)), hint="gatehouse_broker_messages is left out")


def _hosts() -> Samples:
    newest = sorted(hosts.read(), key=lambda each: each.seen_ms or 0, reverse=True)[:MAX_HOSTS]
    for each in newest:
        if each.silent_ms is not None:
            yield Sample("host_last_seen_seconds", (each.name,), each.silent_ms / 1000)
        if each.clock_ms is not None:
            yield Sample("host_clock_offset_seconds", (each.name,), each.clock_ms / 1000)
        yield Sample("host_gone", (each.name,), each.state == "gone")


def _redis() -> Samples:
    server = health.check()
    yield Sample("redis_memory_bytes", (), server.used_bytes)
    yield Sample("redis_memory_limit_bytes", (), server.limit_bytes)
    yield Sample("redis_ping_seconds", (), server.ping_ms / 1000)
    yield Sample("redis_persistent", (), server.aof and server.aof_ok)
    yield Sample("redis_keys", (), health.keys())


def machine() -> Samples:
    """Yield what this machine's disk tells, whether or not Redis answers."""
    chosen = settings.current()
    files = [path.stat() for path in chosen.journal_dir.rglob("*.jsonl*") if path.is_file()]
    yield Sample("journal_bytes", (), sum(each.st_size for each in files))
    yield Sample("journal_files", (), len(files))
    yield Sample("journal_last_write_timestamp_seconds", (), max((each.st_mtime for each in files), default=0.0))
    space = shutil.disk_usage(chosen.state_dir if chosen.state_dir.exists() else settings.ROOT)
    yield Sample("disk_free_bytes", (), space.free)
    yield Sample("disk_size_bytes", (), space.total)
