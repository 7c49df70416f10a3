"""Checks of URLs and their certificates, of the machine, and of Redis, the processes and the queue."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from requests.exceptions import RequestException

import settings
from clients import http
from clients.http import certificate
from gatekeeper.policies.spec import agents
from state import health, hints
from state.ledger import Ledger
from state.processes import liveness
from tasks.monitor import overdue
from tasks.monitor.checks import MAX_CHECK_SECONDS, Check, Observation
from tasks.monitor.config import MonitorConfig, Site

GB = 1024**3
MB = 1024**2
HTTPS = 443


def checks(watch: MonitorConfig) -> Iterator[Check]:
    """Yield all checks that do not concern a single agent."""
    for site in watch.url:
        yield Check(f"url {site.name}", partial(url, site))
        if urlsplit(site.url).scheme == "https":
            yield Check(f"certificate {site.name}", partial(days_left, site))
    limits = watch.limits
    for name, folder in file_systems().items():
        yield Check(f"disk {name}", partial(disk, folder, limits.disk_percent))
    yield Check("memory", partial(memory, limits.memory_percent))
    yield Check("load", partial(load, limits.load_per_core))
    yield Check("redis ping", partial(redis_ping, limits.redis_ping))
    yield Check("redis memory", partial(redis_memory, limits.redis_memory_percent))
    yield Check("redis aof", redis_aof)
    yield Check("redis eviction", redis_eviction)
    yield Check("effects", effects)
    yield Check("processes", processes)
    yield Check("ticks", ticks)
    yield Check("queue", partial(queue, limits.queue))


def url(site: Site) -> Observation:
    """Check that a URL answers with the expected status, and in time."""
    started, limit = time.monotonic(), f"{site.status} in {site.max_latency} ms"
    try:
        answer = http.request("GET", site.url, timeout=MAX_CHECK_SECONDS)
    except RequestException as error:
        return Observation("no answer", limit, f"{site.url} does not answer: {http.reason(error)}")
    ms = round((time.monotonic() - started) * 1000)
    why = ""
    if answer.status_code != site.status:
        why = f"{site.url} answered {answer.status_code} instead of {site.status}"
    elif ms > site.max_latency:
        why = f"{site.url} took {ms} ms"
    return Observation(f"{answer.status_code} in {ms} ms", limit, why)


def days_left(site: Site) -> Observation:
    """Check that a certificate is valid for long enough."""
    parts = urlsplit(site.url)
    until = certificate.good_until(str(parts.hostname), parts.port or HTTPS, MAX_CHECK_SECONDS)
    days = (until - datetime.now(UTC)).days
    why = f"the certificate of {parts.hostname} ends on {until:%Y-%m-%d}" if days < site.cert_days else ""
    return Observation(f"{days} days left", f"{site.cert_days} days", why)


def disk(folder: Path, percent: float) -> Observation:
    """Check that a file system has room for what the agents and Redis write."""
    space = shutil.disk_usage(folder)
    used = 100 * (1 - space.free / space.total)
    why = f"{space.free / GB:.1f} GB left at {folder}; a full disk stops Redis" if used > percent else ""
    return Observation(f"{used:.0f} % used, {space.free / GB:.1f} GB free", f"{percent:g} %", why)


def memory(percent: float) -> Observation:
    """Check that the machine has memory left."""
    seen = psutil.virtual_memory()
    why = f"{seen.available / MB:.0f} MB left of {seen.total / MB:.0f} MB" if seen.percent > percent else ""
    return Observation(f"{seen.percent:.0f} % used", f"{percent:g} %", why)


def load(per_core: float) -> Observation:
    """Check the average number of runnable programs per core over 15 minutes."""
    fifteen = psutil.getloadavg()[2] / (os.cpu_count() or 1)
    why = f"over 15 minutes, {fifteen:.1f} programs per core wanted to run" if fifteen > per_core else ""
    return Observation(f"{fifteen:.2f} per core", f"{per_core:g} per core", why)


def redis_ping(limit_ms: int) -> Observation:
    """Check that Redis answers quickly: every call waits for it at least twice."""
    ms = health.check().ping_ms
    return Observation(f"{ms:g} ms", f"{limit_ms} ms", f"Redis took {ms:g} ms to answer" if ms > limit_ms else "")


def redis_memory(percent: float) -> Observation:
    """Check that Redis is far from its memory limit, at which it refuses every write."""
    seen = health.check()
    used = 100 * seen.used_bytes / seen.limit_bytes if seen.limit_bytes else 0
    why = f"{used:.0f} % of what it may use; a full Redis refuses every call" if used > percent else ""
    return Observation(f"{seen.used_bytes / MB:.1f} MB", f"{percent:g} % of {seen.limit_bytes / MB:.0f} MB", why)


def redis_aof() -> Observation:
    """Check that Redis writes its append-only file, without which a restart loses data."""
    seen = health.check()
    why = "" if seen.aof_ok else "its last write to disk failed; look at the disk and at Redis's log"
    if not seen.aof:
        why = "a restart of Redis loses finished keys; set appendonly yes, see deploy/redis.conf"
    return Observation("on" if seen.aof else "off", "on", why)


def redis_eviction() -> Observation:
    """Check that Redis does not evict keys when its memory is full."""
    policy = health.check().eviction
    why = "" if policy == "noeviction" else "a full Redis would forget finished keys; see deploy/redis.conf"
    return Observation(policy, "noeviction", why)


def effects() -> Observation:
    """Check that effects are open for all agents, which means that Redis knows everything that was sent."""
    statuses = Ledger().statuses(agents())
    closed = [f"{agent}: {status.closed}" for agent, status in statuses.items() if status.closed]
    why = f"effects are closed ({'; '.join(closed)}); run: {hints.gatehouse('recover')}" if closed else ""
    return Observation("closed" if closed else "open", "open", why)


def processes() -> Observation:
    """Check that workers and beat run, and that no queue is unserved."""
    running = overdue.current_liveness()
    counts = ", ".join(f"{len(running.of(kind))} {kind}" for kind in liveness.KINDS)
    silent = "; ".join(map(str, running.silent))
    why = f"{silent}; see docs/operations/worker-stopped.md" if silent else ""
    return Observation(f"{counts} alive", "none silent", why)


def ticks() -> Observation:
    """Check that no tick is overdue."""
    _, late = overdue.current()
    return Observation(f"{len(late)} overdue", "0", "; ".join(map(str, late)))


def queue(limit: int) -> Observation:
    """Check that the queue is short, so that the workers keep up."""
    depth = health.queue_depth(settings.current().broker_url)
    why = f"{depth} messages wait; is a worker running? {hints.gatehouse('status')}" if depth > limit else ""
    return Observation(f"{depth} waiting", f"{limit}", why)


def file_systems() -> dict[str, Path]:
    """Return one of our folders per file system, by its purpose."""
    here = settings.current()
    ours = {
        "state": here.state_dir,
        "public": here.public_dir,
        "content": here.content_dir,
        "journal": here.journal_dir,
    }
    found = {folder.stat().st_dev: (name, folder) for name, folder in reversed(ours.items()) if folder.exists()}
    return dict(reversed(found.values()))
