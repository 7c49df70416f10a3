"""Check that each agent runs when the schedule says so, and that none of its keys waits for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice, pairwise
from typing import Any

from gatekeeper.schedule.entries import Entry, Schedule, read
from gatekeeper.tables import config_lines
from state import hints
from state.agents import events
from state.agents import pause as pauses
from state.agents.snapshot import Snapshot, snapshot
from state.ledger import schedule_runs
from tasks.monitor import budgets
from tasks.monitor.checks import Check, Observation

#: An entry is late two periods after it was due, but at most this long: a daily report must not be missed twice.
MAX_GRACE = timedelta(hours=2)
#: Failures in a row that count as a problem: one run with its retries (`gatekeeper.policies.spec.DEFAULT_ATTEMPTS`).
FAILURES = 3
#: How far back failures are searched; older ones are in a weekly report.
LOOK_BACK = timedelta(days=8)
#: A pause set by a person is reported once it is older than this: until then they know of it.
MAX_PAUSE = timedelta(days=1)
#: How many held keys are reported, the oldest first.
MAX_HELD = 10
#: The period of an entry that runs once, or more rarely than this.
_MAX_PERIOD = timedelta(days=3660)


def schedule() -> Schedule:
    """Read the schedule; a table that cannot be read counts as one refused row."""
    try:
        return read()
    except config_lines.TableError as error:
        return Schedule({}, {f"{config_lines.SCHEDULE}.py": error})


def period(entry: Entry) -> timedelta:
    """Return the shortest time between two of the next runs."""
    now = datetime.now(UTC)
    dues = list(islice(entry.slots(now, now + _MAX_PERIOD), 3)) or [now, now + _MAX_PERIOD]
    return min((later - earlier for earlier, later in pairwise(dues)), default=_MAX_PERIOD)


def grace(entry: Entry) -> timedelta:
    """Return how long after its due time an entry counts as late."""
    return min(2 * period(entry), MAX_GRACE)


def watched_since(
    entries: Mapping[str, Entry], before: Mapping[str, str], last_check: datetime | None, now: datetime
) -> dict[str, str]:
    """Return since when each entry has been watched without a gap; what was due while nothing ran is not late at once.

    Args:
        entries: The entries of the schedule by name.
        before: The result of the last check.
        last_check: When that was; None if there was none.
        now: The current time.

    Returns:
        A time in ISO 8601 for each entry.

    """
    own = [period(entry) for entry in entries.values() if entry.agent == "monitor"]
    has_gap = last_check is None or (bool(own) and now - last_check > 2 * min(own))
    known = {} if has_gap else before
    return {name: known.get(name, now.isoformat()) for name in entries}


def checks(schedule: Schedule, agents: list[str], since: Mapping[str, str], now: datetime) -> Iterator[Check]:
    """Yield a check for every agent, every row of the schedule, and the oldest held keys."""
    states = {agent: snapshot(agent) for agent in agents}
    for agent, state in states.items():
        yield Check(f"agent {agent}", partial(check_agent, state, now))
    for name, entry in schedule.entries.items():
        watched = datetime.fromisoformat(since[name])
        yield Check(f"schedule {name}", partial(check_entry, entry, states.get(entry.agent), watched, now))
    for name, error in schedule.refused.items():
        yield Check(f"schedule {name}"[:120], partial(Observation, "refused", why=str(error)))
    held = [each for state in states.values() for each in state.head["held"]]
    for each in sorted(held, key=lambda each: str(each["since"]))[:MAX_HELD]:
        yield Check(f"held {each['key']}"[:120], partial(_held, each))


def check_agent(state: Snapshot, now: datetime) -> Observation:
    """Check that an agent is not paused, or was paused by a person a short time ago."""
    pause = state.head["pause"]
    if pause is None:
        return Observation("running")
    value = f"paused by {pause['by']} since {pause['at']}: {pause['why']}"
    is_problem = pause["by"] == "cap" or now - datetime.fromisoformat(pause["at"]) > MAX_PAUSE
    hint = f"{value}; lift it: {hints.gatehouse('resume', state.head['agent'])}"
    return Observation(value, why=hint if is_problem else "")


def check_entry(entry: Entry, state: Snapshot | None, watched: datetime, now: datetime) -> Observation:
    """Check that an entry ran when it was due, and that its last attempts did not all fail.

    Args:
        entry: The entry.
        state: The state of its agent; None if the agent is not loaded.
        watched: Since when the entry has been watched without a gap.
        now: The current time.

    """
    if state is None:
        return Observation(
            "unknown", why=f"no agent {entry.agent!r} is loaded; entry {entry.name!r} names {entry.task}"
        )
    last = state.head["last_run"] and datetime.fromisoformat(state.head["last_run"])
    value = f"ran {last:%Y-%m-%d %H:%M} UTC" if last else "never ran"
    if failure := schedule_runs.failure(entry.agent, entry.name):
        return Observation(value, why=f"its tick of {failure['at']} could not be started: {failure['why']}")
    if pauses.of_task(state.head["pause"], entry.task):
        return Observation(f"{value}, paused")
    if any(each.task == entry.task for each in budgets.stopping([entry.agent])[entry.agent]):
        return Observation(f"{value}, its budget is used up")
    due, allowed = max(entry.next_after(last), watched) if last else watched, grace(entry)
    limit = f"due {due:%Y-%m-%d %H:%M} UTC, {_hours(allowed)} later it is late"
    if now > due + allowed:
        why = f"{entry.agent} was due {_hours(now - due)} ago; {value}; see docs/operations/tick-missed.md"
        return Observation(value, limit, why)
    return Observation(value, limit, _failing(entry, now))


def _failing(entry: Entry, now: datetime) -> str:
    since_ms = round((now - LOOK_BACK).timestamp() * 1000)
    past = events.recent(entry.agent, since_ms)
    newest = [attempt for attempt in past if attempt.task == entry.task and attempt.outcome != "refused"][-FAILURES:]
    failed = len(newest) == FAILURES and all(attempt.outcome != "done" for attempt in newest)
    return f"its last {FAILURES} attempts failed; see: {hints.gatehouse('status', entry.agent)}" if failed else ""


def _held(held: Mapping[str, Any]) -> Observation:
    value = f"{held['state']} since {held['since']}"
    return Observation(value, why=f"waits for a person: {held['why']}")


def _hours(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"  # noqa: PLR2004 - an hour
