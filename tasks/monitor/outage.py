"""Outages, which no worker can tell: Redis is away, no worker looks, or no worker takes alerts. The web process sends these itself.

They cannot go through the gate, which needs what is missing. A file keeps what was told, so that a restart does not tell
it again; a lock lets one process of a machine look at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import structlog
from pydantic import AwareDatetime, BaseModel

import settings
from clients import alerts
from clients.alerts import AlertAnswer, AlertChannel
from gatekeeper.redact import clean
from state import decision_link, hints, private
from state.agents import incidents, watched
from state.agents.incidents import BookChange
from state.errors import StoreError
from state.files import lock_file, write_atomic
from tasks.monitor import incident_log, wording
from tasks.monitor.records import AlertText, Incident, What

log = structlog.get_logger("gatehouse.alerts")

#: What lasts shorter is a restart.
SETTLE = timedelta(seconds=45)
#: A worker looks every ten seconds; one that is stuck was killed and replaced after this time and SETTLE.
NO_LOOK = timedelta(minutes=2)
#: An alert that no worker took for so long.
NOT_TAKEN = timedelta(minutes=2)
#: Between two tries to tell a channel.
AGAIN = timedelta(minutes=1)
#: The end of an outage is not told any more this long after it.
GIVE_UP = timedelta(days=1)
#: ChannelTold per channel whose outcome is not known; each may have arrived.
MAX_DOUBTS = 3

Deliver = Callable[[AlertChannel, str, str, bool], AlertAnswer]


class ChannelTold(BaseModel):
    """The tries to tell one channel."""

    sent: bool = False
    doubts: int = 0
    tried: AwareDatetime | None = None


class Outage(BaseModel):
    """The trouble of now, and who was told of it."""

    kind: str
    what: str
    since: AwareDatetime
    until: AwareDatetime | None = None
    first: AwareDatetime | None = None  #: when a channel was first told
    begin: dict[str, ChannelTold] = {}
    end: dict[str, ChannelTold] = {}

    TODO: ClassVar[dict[str, str]] = {
        "redis": "docs/operations/redis-away.md",
        "worker": "docs/operations/worker-stopped.md",
        "deaf": "docs/operations/worker-deaf.md",
    }

    def incident(self) -> Incident:
        """Return it as the incident log keeps it."""
        name = f"outage {self.kind}"
        return Incident(
            id=hashlib.sha256(f"{name} {self.since.isoformat()}".encode()).hexdigest()[:12],
            name=name,
            kind=self.kind,
            what=self.what,
            since=self.since,
            until=self.until,
            tried="A supervisor starts again what has ended.",
            todo=f"{hints.gatehouse('status')}; {self.TODO[self.kind]}",
            page="/healthz" if self.kind == "redis" else "/",
            told=self.first,
        )


class OutageWatch:
    """The looks of one process.

    Args:
        deliver: Sends one message; for tests.

    """

    def __init__(self, deliver: Deliver | None = None) -> None:
        self._deliver = deliver or _deliver
        self._unwritten: Outage | None = None  #: what the file lacks, because the disk is full

    def look(self, now: datetime) -> None:
        """Look once, and tell what begins and what ends; raises OSError if the folder cannot be used."""
        channels = alerts.ordinary()
        if not channels:
            return
        folder = private.folder(settings.current().run_dir)
        with suppress(BlockingIOError), lock_file(folder / "outage.lock", wait=0):
            file = folder / "outage.json"
            outage = _next(self._unwritten or _read(file), trouble(now), now)
            if outage is not None:
                _tell(outage, channels, now, self._deliver)
                is_told = outage.until and (_is_told(outage) or now - outage.until > GIVE_UP)
                outage = None if is_told and _recorded(outage) else outage
            self._keep(file, outage)

    def _keep(self, file: Path, outage: Outage | None) -> None:
        """Keep an outage for the next look, also of another process; in memory while the disk is full."""
        self._unwritten = None
        if outage is None:
            file.unlink(missing_ok=True)
            return
        try:
            write_atomic(file, outage.model_dump_json().encode())
        except OSError:
            self._unwritten = outage


def trouble(now: datetime) -> tuple[str, str] | None:
    """Return what keeps the workers from telling anything, by its kind and in words; None if nothing does."""
    try:
        book, monitor = incident_log.read(), watched.read([incident_log.AGENT])[0]
        if book.looked is None or now - book.looked > NO_LOOK:
            since = f" since {wording.clock(book.looked)}" if book.looked else ""
            return "worker", f"No worker looks for incidents{since}; calls wait"
        is_paused = any("task" not in each for each in monitor.pauses)
        told = [] if is_paused else [alert for each in incident_log.current() for alert in each.alerts]
    except StoreError as error:
        return "redis", f"Redis does not answer: {clean(str(error))}"
    waiting = [alert.at for alert in told if "queued" in alert.states.values()]
    if waiting and now - min(waiting) > NOT_TAKEN:
        return "deaf", f"No worker takes alerts: {len(waiting)} wait since {wording.clock(min(waiting))}"
    return None


def _next(known: Outage | None, found: tuple[str, str] | None, now: datetime) -> Outage | None:
    """Return the outage to go on with; None if there is none."""
    if found is None:
        if known is None or known.first is None:
            return None  # it ended before an alert went out
        return known if known.until else known.model_copy(update={"until": now})
    if known is None or (known.until and known.kind != found[0]):
        return Outage(kind=found[0], what=found[1], since=now)
    return known.model_copy(update={"until": None, "end": {}})


def _tell(outage: Outage, channels: list[AlertChannel], now: datetime, deliver: Deliver) -> None:
    """Tell each channel that was not told yet, and note what it answered."""
    told = outage.end if outage.until else outage.begin
    if outage.until:
        channels = [each for each in (*channels, *alerts.urgent()) if each.name in outage.begin]
    elif now - outage.since < SETTLE:
        return
    elif outage.first and now - outage.first >= timedelta(seconds=settings.current().escalate_after):
        channels = [*channels, *alerts.urgent()]
    for channel in channels:
        before = told.get(channel.name, ChannelTold())
        if before.sent or before.doubts >= MAX_DOUBTS or (before.tried and now - before.tried < AGAIN):
            continue
        what: What = "end" if outage.until else "escalate" if channel.is_urgent else "begin"
        message = wording.message(outage.incident(), what, now, ())
        answer = deliver(channel, f"Gatehouse: {message.title}", _body(message), message.bad)
        told[channel.name] = ChannelTold(
            sent=answer.outcome == "sent", doubts=before.doubts + (answer.outcome == "unknown"), tried=now
        )
        outage.first = outage.first or now
        if answer.outcome != "sent":
            hint = hints.gatehouse("alert-test")
            log.error("alert not sent", channel=str(channel), outcome=answer.outcome, why=answer.why, hint=hint)


def _is_told(outage: Outage) -> bool:
    """Return whether the end was told to every channel that can be told."""
    return all(name in outage.end and (outage.end[name].sent or outage.end[name].doubts) for name in outage.begin)


def _recorded(outage: Outage) -> bool:
    """Put an outage that is over into the incident log; False if Redis is away again."""
    text = outage.incident().model_dump_json(exclude_defaults=True)
    try:
        incidents.change_book(lambda book: BookChange(book or "{}", [text]))
    except StoreError:
        return False
    return True


def _deliver(channel: AlertChannel, title: str, body: str, bad: bool) -> AlertAnswer:  # noqa: FBT001 - as Deliver has it
    return alerts.deliver(channel, title, body, bad=bad)


def _body(message: AlertText) -> str:
    return f"{message.body}\nPage: {decision_link.page_url(message.page)}"


def _read(file: Path) -> Outage | None:
    try:
        return Outage.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None
