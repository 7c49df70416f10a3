"""Whether the agents run when the schedule says so, and whether anything of theirs waits for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

from gatekeeper.schedule.cron import Cron, CronError
from gatekeeper.tables import config_lines
from state.agents import events
from state.agents.snapshot import Snapshot, snapshot
from state.ledger import schedule_runs
from tasks.monitor.checks import Check, Observation

#: An entry is late two periods after it was due, or when it is this late: who waits for a daily report until the day
#: after tomorrow has lost two of them.
MAX_GRACE = timedelta(hours=2)
#: One run with its retries: `gatekeeper.policies.spec.DEFAULT_ATTEMPTS` of them.
FAILURES = 3
#: How far back an entry's failures are looked for; beyond a week, a week's report has told of them.
REMEMBERED = timedelta(days=8)
#: A pause that a person set is not told before it is this old: they know.
FORGOTTEN = timedelta(days=1)
#: Keys that wait for a person, told one by one; the oldest first.
MAX_HELD = 10
#: Beyond that, how often an entry comes makes no difference to when it is late.
_FAR = timedelta(days=3660)


@dataclass(frozen=True)
class Plan:
    """One line of the schedule, as far as its times go."""

    entry: str
    task: str
    cron: str
    zone: ZoneInfo
    missed: str = "latest"
    overlap: str = "skip"

    @property
    def agent(self) -> str:
        return self.task.split(".")[-2]

    @property
    def grace(self) -> timedelta:
        return min(2 * self.period, MAX_GRACE)

    @property
    def period(self) -> timedelta:
        """The shortest time between two runs in the days to come."""
        now = datetime.now(UTC)
        dues = list(islice(self.times.between(now, now + _FAR), 3)) or [now, now + _FAR]
        return min((later - earlier for earlier, later in pairwise(dues)), default=_FAR)

    def due_after(self, moment: datetime) -> datetime:
        """The first due time after `moment`, in UTC."""
        return self.times.next_after(moment)

    @property
    def times(self) -> Cron:
        return Cron(self.cron, self.zone)


def plans(table: Any = None) -> list[Plan]:
    """The schedule's entries whose times can be told. Rows that beat leaves out are told by beat and `gate doctor`."""
    try:
        table = table or config_lines.load(config_lines.SCHEDULE)
        rows, zone = config_lines.rows(table, "schedule"), config_lines.zone(table)
    except config_lines.TableError:
        return []
    found = [_plan(entry, row, zone) for entry, row in rows.items()]
    return [plan for plan in found if plan is not None]


def _plan(entry: Any, row: Any, zone: ZoneInfo) -> Plan | None:
    try:
        plan = Plan(entry, row["task"], row["cron"], zone, row.get("missed", "latest"), row.get("overlap", "skip"))
        plan.times.check(datetime.now(UTC))
    except (CronError, KeyError, TypeError, AttributeError):
        return None
    return plan if "." in plan.task else None


def watched_since(before: Mapping[str, str], last_check: datetime | None, now: datetime) -> dict[str, str]:
    """Since when each entry has been watched without a gap: what was due while everything was off is not late at once."""
    own = [plan.period for plan in plans() if plan.agent == "monitor"]
    gap = last_check is None or (bool(own) and now - last_check > 2 * min(own))
    known = {} if gap else before
    return {plan.entry: known.get(plan.entry, now.isoformat()) for plan in plans()}


def looks(agents: list[str], since: Mapping[str, str], now: datetime) -> Iterator[Check]:
    """Every agent, every entry of the schedule, and the keys that are held."""
    states = {agent: snapshot(agent) for agent in agents}
    for agent, state in states.items():
        yield Check(f"agent {agent}", partial(pause, state, now))
    for plan in plans():
        watched = datetime.fromisoformat(since[plan.entry])
        yield Check(f"schedule {plan.entry}", partial(run, plan, states.get(plan.agent), watched, now))
    held = [entry for state in states.values() for entry in state.head["held"]]
    for entry in sorted(held, key=lambda entry: str(entry["since"]))[:MAX_HELD]:
        yield Check(f"held {entry['key']}"[:120], partial(_held, entry))


def pause(state: Snapshot, now: datetime) -> Observation:
    """Does it run at all?"""
    paused = state.head["pause"]
    if paused is None:
        return Observation("running")
    told = f"paused by {paused['by']} since {paused['at']}: {paused['why']}"
    age = now - datetime.fromisoformat(paused["at"])
    forgotten = paused["by"] == "cap" or age > FORGOTTEN
    return Observation(
        told, why=f"{told}; lift it: celery -A workers gate resume {state.head['agent']}" if forgotten else ""
    )


def run(plan: Plan, state: Snapshot | None, watched: datetime, now: datetime) -> Observation:
    """Did it run when it was due, and did that go well?"""
    if state is None:
        return Observation("unknown", why=f"no agent {plan.agent!r} is loaded; entry {plan.entry!r} names {plan.task}")
    last = state.head["last_run"] and datetime.fromisoformat(state.head["last_run"])
    told = f"ran {last:%Y-%m-%d %H:%M} UTC" if last else "never ran"
    if failure := schedule_runs.failure(plan.agent, plan.entry):
        return Observation(told, why=f"its tick of {failure['at']} could not be started: {failure['why']}")
    if state.head["paused"]:
        return Observation(f"{told}, paused")
    due = max(plan.due_after(last), watched) if last else watched
    limit = f"due {due:%Y-%m-%d %H:%M} UTC, {_hours(plan.grace)} later it is late"
    if now > due + plan.grace:
        why = f"{plan.agent} was due {_hours(now - due)} ago; {told}; see docs/operations.md, Nothing runs"
        return Observation(told, limit, why)
    return Observation(told, limit, _failing(plan, now))


def _failing(plan: Plan, now: datetime) -> str:
    since_ms = round((now - REMEMBERED).timestamp() * 1000)
    past = events.recent(plan.agent, since_ms)
    newest = [attempt for attempt in past if attempt.task == plan.task and attempt.outcome != "refused"][-FAILURES:]
    failed = len(newest) == FAILURES and all(attempt.outcome != "done" for attempt in newest)
    return f"its last {FAILURES} attempts failed; see: celery -A workers gate status {plan.agent}" if failed else ""


def _held(entry: Mapping[str, Any]) -> Observation:
    told = f"{entry['state']} since {entry['since']}"
    return Observation(told, why=f"waits for a person: {entry['why']}")


def _hours(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"  # noqa: PLR2004 - an hour
