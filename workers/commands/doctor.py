"""`gate doctor`: checks everything that the system depends on, and says what to change."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import structlog

import settings
from clients import destinations
from clients.llm import providers
from gatekeeper.policies.spec import agents
from gatekeeper.redact import clean
from gatekeeper.schedule.entries import read
from gatekeeper.tables.config_lines import TableError
from state import dial, health, hints, redis_format
from state.errors import JournalUnavailable, StoreError
from state.ledger import Ledger, schedule_runs, shared_journal
from state.terminal import one_line
from tasks.monitor import probes
from workers.commands import broker_checks, channels, privacy, replicas, vitals
from workers.commands import journal as shared
from workers.commands import online as asking
from workers.commands.output import command, show, what_to_do_about_redis
from workers.commands.vitals import Finding

#: The oldest server that has every command used here.
OLDEST_REDIS = (6, 2)
#: Seconds between our clock and that of Redis that do no harm: leases are minutes.
MAX_SKEW = 1.0
#: Bytes: free space for a busy day's logs.
MIN_DISK = 500 * 1024 * 1024
#: Broken rows of a table that are listed.
MAX_ROWS = 20


@command("doctor", "doctor", "doctor --online")
@click.option(
    "--online",
    is_flag=True,
    help="Also ask each destination, each model and the mail server; publishes and mails nothing.",
)
def doctor(*, online: bool, json_: bool) -> None:
    """Check what the system depends on, and say what to change.

    It looks at versions, persistence, memory policy, clock, disk, ports and connections.
    """
    # The findings say what the requests did, and JSON on stdout stays JSON.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with contextlib.redirect_stdout(sys.stderr):
        findings = list(examine(settings.current(), online=online))
    rows = [asdict(finding) | {"ok": finding.ok} for finding in findings]
    width = max(len(finding.check) for finding in findings)
    show(json_, rows, "\n".join(_lines(finding, width) for finding in findings))
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(1)


def _lines(finding: Finding, width: int) -> str:
    """Return the line of a finding; below it, what to change."""
    found = f"{'ok' if finding.ok else 'CHANGE':8}{finding.check:{width}}  {one_line(finding.found)}"
    return found if finding.ok else f"{found}\n{'':8}{'':{width}}  -> {one_line(finding.change)}"


def examine(config: settings.Settings, *, online: bool) -> Iterator[Finding]:
    """Run every check, connections first, and yield what each found.

    Args:
        config: The settings.
        online: Whether to ask the destinations and the models, which are elsewhere.

    """
    yield from _redis(config)
    yield from broker_checks.findings(config)
    yield from shared.findings()
    yield from _schedule()
    yield from _failed_ticks()
    yield from _webhooks()
    yield _destinations(config)
    yield _models()
    yield _reports(config)
    yield from channels.findings()
    if online:
        yield from asking.findings(config)
    yield _folder("state folder", config.state_dir, os.W_OK, "write")
    yield _folder("content folder", config.content_dir, os.R_OK, "read")
    yield from _privacy(config)
    yield _disk(config.state_dir)
    yield _port("web port", config.web_host, config.web_port, "WEB_PORT")
    yield _port("flower port", "127.0.0.1", config.flower_port, "FLOWER_PORT")
    generated = config.secrets_dir / "flower-password"
    source = "DESK_PASSWORD" if config.desk_password else generated
    yield Finding("flower password", f"user admin, password in {source}")


def _redis(config: settings.Settings) -> Iterator[Finding]:
    """Run every check that needs Redis; without it the others go on."""
    where = "embedded server" if config.embedded else clean(config.redis_url)
    try:
        info = health.info()
        yield Finding("redis connection", f"{where} answers")
        yield _version(info)
        yield _format()
        yield from replicas.findings()
        yield from _on_redis()
    except StoreError as error:
        yield Finding("redis connection", f"{where}: {clean(str(error))}", what_to_do_about_redis())


def _on_redis() -> Iterator[Finding]:
    for what, look in (("redis AOF", probes.redis_aof), ("redis eviction", probes.redis_eviction)):
        seen = look()
        yield Finding(what, seen.value, seen.why)
    yield _effects()
    yield from vitals.findings()
    yield _clock()


def _effects() -> Finding:
    """Check that the journal can be written, and that Redis knows everything that it holds."""
    try:
        statuses = Ledger().checked_statuses(agents()).values()
    except JournalUnavailable as error:
        return Finding("effects", f"closed: {error.strerror}", "what is said there; nothing is sent until then")
    if closed := [status.closed for status in statuses if status.closed]:
        return Finding("effects", f"closed: {closed[0]}", f"run {hints.gatehouse('recover')}")
    return Finding("effects", f"open, journal in {shared_journal.place()}")


def _version(info: dict[str, Any]) -> Finding:
    text = str(info["redis_version"])
    old = tuple(int(part) for part in text.split(".")[:2]) < OLDEST_REDIS
    name = f"valkey {info['valkey_version']}" if "valkey_version" in info else f"redis {text}"
    return Finding("redis version", name, "install Redis 6.2 or newer, or Valkey" if old else "")


def _format() -> Finding:
    """Tell how far back a version may lie that reads this data; a newer format ended this command already."""
    found = redis_format.found()
    older = "so does the version before" if found <= redis_format.FIRST else "versions that read less refuse it"
    return Finding("redis format", f"{found}; this version reads up to {redis_format.FORMAT}, and {older}")


def _clock() -> Finding:
    """Compare our clock with that of Redis, at the middle of the round trip."""
    before = time.time()
    server = health.time_ms() / 1000
    skew = (before + time.time()) / 2 - server
    change = "" if abs(skew) < MAX_SKEW else "run a time service (chrony) on both machines"
    return Finding("clock", f"{skew:+.2f} s against Redis", change)


def _schedule() -> Iterator[Finding]:
    """Check the schedule, and list each row that beat leaves out."""
    try:
        schedule = read()
    except TableError as error:
        yield Finding("schedule", str(error), "correct beat_schedule.py, and start beat again")
        return
    yield Finding("schedule", f"entries: {', '.join(schedule.entries) or 'none'}")
    for refusal in schedule.refused.values():
        yield Finding("schedule row", str(refusal), "correct that line of beat_schedule.py, and start beat again")


def _failed_ticks() -> Iterator[Finding]:
    """List each row of the schedule that beat could not start; other findings say that the schedule or Redis cannot be read."""
    with contextlib.suppress(TableError, StoreError):
        for entry in read().entries.values():
            if failure := schedule_runs.failure(entry.agent, entry.name):
                found = f"{entry.name}: {failure['why']}"
                yield Finding("schedule row", found, f"it failed at {failure['at']}; correct it")


def _webhooks() -> Iterator[Finding]:
    """Check the table of webhooks, in a process of its own: workers/ must not import web/."""
    command = [sys.executable, "-m", "web.validate_config", "webhooks"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if done.returncode == 0:
        yield Finding("webhooks", "every row can be served")
        return
    for line in done.stderr.strip().splitlines()[-MAX_ROWS:]:
        change = "correct that line of webhook_routes.py, and start the web process again"
        yield Finding("webhooks", clean(line.removeprefix("gatehouse: ")), change)


def _destinations(config: settings.Settings) -> Finding:
    try:
        destinations.check_all()
    except (destinations.UnknownDestination, destinations.NotConfigured) as error:
        return Finding("destinations", str(error), "set it in .env, or take it out of PUBLISH_TO")
    return Finding("destinations", ", ".join(config.publish_to))


def _models() -> Finding:
    names = ", ".join(provider.by for provider in providers.configured())
    return Finding("models", f"{names}; --online asks them" if names else "none has an API key: the agents use rules")


def _reports(config: settings.Settings) -> Finding:
    to = ", ".join(config.report_to)
    if config.report_to and not config.smtp_url:
        return Finding("mail", f"reports for {to}, and no mail server", "set SMTP_URL, or remove REPORT_TO")
    if not config.report_to:
        return Finding("mail", "reports are pages only: REPORT_TO is not set")
    return Finding("mail", f"reports go to {to}; --online asks the mail server")


def _folder(what: str, path: Path, access: int, verb: str) -> Finding:
    usable = os.access(path if path.exists() else path.parent, access)
    return Finding(what, str(path), "" if usable else f"let this user {verb} there")


def _privacy(config: settings.Settings) -> Iterator[Finding]:
    found = list(privacy.leaks(config))
    if not found:
        yield Finding("privacy", "settings and state are closed to other users")
    for what, change in found:
        yield Finding("privacy", what, f"run {change}")


def _disk(path: Path) -> Finding:
    free = shutil.disk_usage(path if path.exists() else path.parent).free
    change = "" if free > MIN_DISK else f"free some space: effects stop when {path} is full"
    return Finding("disk", f"{free / 1e9:.1f} GB free", change)


def _port(what: str, host: str, port: int, variable: str) -> Finding:
    try:
        with dial.connect(host, port, 2) as connection:
            connection.settimeout(2)
            connection.sendall(b"GET /healthcheck HTTP/1.0\r\n\r\n")
            answer = connection.recv(12)
    except TimeoutError:
        return Finding(what, f"{host}:{port} is held and silent", f"free the port, or set {variable}")
    except OSError:
        return Finding(what, f"{host}:{port} is free: nothing runs there, or it was started with another {variable}")
    if answer.startswith(b"HTTP/"):
        return Finding(what, f"{host}:{port} answers")
    return Finding(what, f"{host}:{port} is held by something else", f"set {variable}")


commands = (doctor,)
