"""Conditions that take longer to look at: processes, ticks, the disk and the model providers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from clients.llm import providers
from state import hints, limits
from state.processes import deaths
from state.processes.liveness import KINDS, Liveness
from tasks.monitor import config, overdue
from tasks.monitor.conditions import Condition
from tasks.monitor.probes import GB, file_systems

#: A full disk stops Redis and the journal; from here on it cannot wait for the morning.
DISK_URGENT = 97.0
#: Between two looks something has to last as long to be believed.
SETTLE = timedelta(seconds=25)
#: A stuck process is told after this time: a supervisor has killed it and started another by then, if it can.
STUCK = timedelta(seconds=150)
#: A kind of process that does not run is told after this time: a start of all may take that long on a busy machine.
START = timedelta(seconds=60)
#: A model provider that failed is told if it has not answered well within this time.
MODEL_FAILS = timedelta(seconds=60)


def all_of(now: datetime) -> Iterator[Condition]:
    """Yield everything that this module looks at; raises StoreError."""
    running, late = overdue.current()
    yield from of_processes(running)
    yield from of_ticks(late)
    yield from of_deaths(now)
    yield from of_disks()
    yield from of_models()


def of_processes(running: Liveness) -> Iterator[Condition]:
    """Yield each silent process."""
    for each in running.silent:
        name = f"{each.kind} {each.pid} {each.host}".strip() if each.pid else each.kind
        since = None if each.since_ms is None else datetime.fromtimestamp(each.since_ms / 1000, UTC)
        page = "worker-stopped" if each.kind != "beat" else "beat-stopped"
        start = f"make up, or systemctl start gatehouse-{each.kind}" if each.kind in KINDS and not each.pid else ""
        todo = start or f"{hints.gatehouse('status')}; docs/operations/{page}.md"
        tried = "A supervisor starts what has ended; one that is stuck is killed after two minutes."
        settle = STUCK if each.pid else START
        yield Condition(f"silent {name}", "silent", str(each), todo, since=since, settle=settle, tried=tried, page="/")


def of_ticks(late: list[overdue.Overdue]) -> Iterator[Condition]:
    """Yield each entry of the schedule whose newest tick did not start."""
    for tick in late:
        todo = hints.gatehouse("run", tick.entry)
        yield Condition(
            f"late {tick.entry}", "late", str(tick), todo, settle=SETTLE, agent=tick.agent, page="/schedule"
        )


def of_deaths(now: datetime) -> Iterator[Condition]:
    """Yield each process of this machine that the supervisor had to start again and again."""
    for name, died in deaths.read().items():
        if died.keeps_dying(now):
            what = f"The process {name} died {len(died.times)} times in a few minutes, last: {died.reason}"
            tried = "It is started again after each death, with a pause of up to 30 s."
            todo = f"{hints.gatehouse('doctor')}; docs/operations/process-dies.md"
            yield Condition(f"dying {name}", "dying", what, todo, since=died.times[0], tried=tried, page="/")


def of_disks() -> Iterator[Condition]:
    """Yield each file system with our folders that is fuller than the monitor's limit."""
    limit = config.read()[0].limits.disk_percent
    for name, folder in file_systems().items():
        space = shutil.disk_usage(folder)
        used = 100 * (1 - space.free / space.total)
        if used > limit:
            what = (
                f"The disk of {folder} is {used:.0f} % full, {space.free / GB:.1f} GB are left; a full one stops Redis"
            )
            todo = "free some space; docs/operations/disk-full.md"
            urgent = used >= max(DISK_URGENT, limit)
            yield Condition(f"disk {name}", "disk", what, todo, settle=SETTLE, urgent=urgent)


def of_models() -> Iterator[Condition]:
    """Yield each model provider whose last requests failed; agents fall back to the next one, or to rules."""
    for provider in providers.configured():
        found = limits.trouble(provider.identity)
        if found is not None and found.failures:
            times = "" if found.failures == 1 else f" {found.failures} times in a row"
            what = f"The model {provider.by} failed{times}: {found.why}"
            tried = "Agents ask the next provider, or answer by their own rules."
            todo = hints.gatehouse("doctor", "--online")
            yield Condition(
                f"model {provider.name}", "model", what, todo, settle=MODEL_FAILS, tried=tried, urgent=False
            )
