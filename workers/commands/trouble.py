"""The problems of now, each with the command that helps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from clients.llm import providers
from gatekeeper.schedule.entries import Schedule
from state import hints, limits
from state.agents import calls, events, facts
from state.agents import pause as pauses
from state.agents.snapshot import Snapshot
from state.errors import JournalUnavailable
from state.ledger import Ledger, LedgerStatus, schedule_runs, shared_journal
from state.processes.liveness import Liveness
from tasks.monitor import budgets, incident_log
from tasks.monitor.overdue import Overdue
from tasks.writer import draft_list
from workers.commands import posts, times, vitals

#: How far back calls without a result and refusals are told.
LOOK_BACK = timedelta(days=1)
#: Problems of one kind that are told one by one.
MAX_OF_A_KIND = 5
#: Stages whose refusals are the gate's daily work: a duplicate, and a task that said no by its own rules.
_HARMLESS = frozenset({"key", "task"})
#: Kinds of incident that no other line of the status tells.
_ONLY_INCIDENTS = frozenset({"breaker", "dying", "disk"})


@dataclass(frozen=True)
class Trouble:
    """One problem: what it is about, what it is, and the command that helps; `is_bad` if something stands still."""

    about: str
    text: str
    command: str = ""
    is_bad: bool = True


def of_processes(liveness: Liveness, late: list[Overdue]) -> Iterator[Trouble]:
    """Yield each silent process and each overdue tick."""
    for each in liveness.silent:
        yield Trouble("SILENT", str(each), vitals.what_to_do(each))
    for tick in late:
        yield Trouble("OVERDUE", str(tick), hints.gatehouse("run", tick.entry))


def of_schedule(schedule: Schedule) -> Iterator[Trouble]:
    """Yield each row of the schedule that cannot run, or whose last tick could not be started."""
    for name, refusal in schedule.refused.items():
        yield Trouble(f"schedule {name}", str(refusal), hints.gatehouse("schedule"))
    for entry in schedule.entries.values():
        if failure := schedule_runs.failure(entry.agent, entry.name):
            yield Trouble(f"schedule {entry.name}", str(failure["why"]), hints.gatehouse("schedule"))


def of_agent(state: Snapshot, ledger: LedgerStatus, now: datetime) -> Iterator[Trouble]:
    """Yield what is wrong with one agent."""
    head, agent = state.head, state.head["agent"]
    if ledger.closed:
        yield Trouble(agent, f"EFFECTS CLOSED: {ledger.closed}", ledger.command)
    for pause in pauses.reasons(head["pause"]):
        only = f"; other tasks than {pause['task']} run" if "task" in pause else ""
        text = f"PAUSED by {pause['by']} {times.ago(pause['at'], now)}: {pause['why']}{only}"
        yield Trouble(agent, text, hints.gatehouse("resume", agent))
    yield from _of_budgets(agent, now)
    held = [_of_held(agent, each, now) for each in head["held"]]
    yield from _few(held, agent, "keys wait for a person", "held", head["held_total"])
    yield from _without_result(agent, head["errors"], now)
    yield from _refused(agent, now)
    yield from _of_facts(state)


def _of_budgets(agent: str, now: datetime) -> Iterator[Trouble]:
    for each in budgets.stopping([agent])[agent]:
        since, until = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (each.since_ms, each.until_ms))
        text = f"BUDGET USED UP {times.ago(since, now)}: {each.whose} spent {each.tokens:,} tokens of {each.rule}"
        yield Trouble(agent, f"{text}; it goes on {times.ago(until, now)}", hints.gatehouse("explain", each.key))


def _of_held(agent: str, held: dict[str, Any], now: datetime) -> Trouble:
    text = f"{held['key']} is {held['state']}, {times.ago(held['since'], now)}: {held['why']}"
    return Trouble(agent, text, hints.gatehouse("explain", held["key"]))


def _without_result(agent: str, errors: list[dict[str, Any]], now: datetime) -> Iterator[Trouble]:
    """Yield the calls that wait for their service, and those that ended without a result lately."""
    waiting = [error for error in errors if "until" in error]
    yield from _few([_waits(agent, error, now) for error in waiting], agent, "calls wait for their service", "list")
    dead = [each for each in Ledger().dead(agent) if now - times.parsed(each["at"]) < LOOK_BACK]
    told = [
        Trouble(
            agent,
            f"{each['key']} failed {times.ago(each['at'], now)}: {each['error']}",
            hints.gatehouse("explain", each["call"]),
        )
        for each in dead
    ]
    yield from _few(told, agent, "calls ended without a result", "dead")
    known = {each["call"] for each in dead}
    yield from _flawed(
        agent, [error for error in errors if error.get("call") not in known and "until" not in error], now
    )


def _waits(agent: str, error: dict[str, Any], now: datetime) -> Trouble:
    text = f"{error['key']}: {error['error']}; waits since {times.clock(error['since'], now)}, tried again {times.ago(error['until'], now)}"
    return Trouble(agent, text, hints.gatehouse("explain", error["key"]), is_bad=False)


def _flawed(agent: str, errors: list[dict[str, Any]], now: datetime) -> Iterator[Trouble]:
    """Yield the newest other error of each key whose last word it is: its key is not done without a flaw."""
    states = calls.key_states(agent, list(dict.fromkeys(error["key"] for error in errors)))
    told = set()
    for error in errors:
        state, flaw = states[error["key"]]
        is_over = (state == "done" and not flaw) or state in {None, "unknown", "held"}
        if is_over or error["key"] in told or now - times.parsed(error["at"]) > LOOK_BACK:
            continue
        told.add(error["key"])
        if len(told) <= MAX_OF_A_KIND:
            text = f"{error['key']} {times.ago(error['at'], now)}: {error['error']}"
            yield Trouble(agent, text, hints.gatehouse("explain", error["key"]), is_bad=state != "waiting")


def _refused(agent: str, now: datetime) -> Iterator[Trouble]:
    """Yield how many calls each task's limits and pauses refused within LOOK_BACK."""
    since_ms = round((now - LOOK_BACK).timestamp() * 1000)
    refused = [
        each for each in events.recent(agent, since_ms) if each.outcome == "refused" and each.stage not in _HARMLESS
    ]
    for (task, stage), count in Counter((each.task, each.stage) for each in refused).items():
        many = "a call" if count == 1 else f"{count} calls"
        text = f"{many} of {task} refused by {stage} in the last 24 h"
        yield Trouble(agent, text, hints.gatehouse("list", "--state", "rejected", "--agent", agent), is_bad=False)


def _of_facts(state: Snapshot) -> Iterator[Trouble]:
    """Yield what the agent itself remembers as wrong: sources that cannot be read, and the monitor's incidents."""
    agent = state.head["agent"]
    broken = state.facts.get("broken_sources")
    for name, why in list(broken.items())[:MAX_OF_A_KIND] if isinstance(broken, dict) else ():
        yield Trouble(agent, f"broken source {name}: {why}", is_bad=False)
    incidents = state.facts.get("incidents") if agent == "monitor" else None
    for name, incident in list(incidents.items())[:MAX_OF_A_KIND] if isinstance(incidents, dict) else ():
        if isinstance(incident, dict) and not name.startswith("held "):
            yield Trouble(agent, f"{name}: {incident.get('why')}", is_bad=False)


def of_incidents() -> Iterator[Trouble]:
    """Yield the open incidents that nothing else here tells."""
    found = [each for each in incident_log.current() if each.kind in _ONLY_INCIDENTS]
    for each in found[:MAX_OF_A_KIND]:
        yield Trouble(each.agent or "incident", each.what, each.todo, is_bad=each.urgent)


def of_journal() -> Iterator[Trouble]:
    """Yield what endangers a record that the database of the journal confirms."""
    try:
        found = shared_journal.health()
    except JournalUnavailable:  # each agent says that its effects are closed, and why
        return
    for problem, _ in found.problems if found else ():
        yield Trouble("journal database", problem, hints.gatehouse("doctor"), is_bad=False)


def of_posts() -> Iterator[Trouble]:
    """Yield the posts whose file cannot be used."""
    if posts.are_many():  # the publisher read them at its last run
        broken = facts.read("publisher", ("broken",)) or {}
        told = [Trouble("post", f"broken: {why}", hints.gatehouse("schedule", "--posts")) for why in broken.values()]
    else:
        files = [each for each in posts.files() if each.state == "broken"]
        told = [Trouble("post", f"broken: {each.why}", hints.gatehouse("explain", each.id)) for each in files]
    yield from _few(told, "post", "posts are broken", "schedule")


def of_models(now: datetime) -> Iterator[Trouble]:
    """Yield the model providers whose last requests failed."""
    for provider in providers.configured():
        found = limits.trouble(provider.identity)
        if found is not None:
            closed = datetime.fromtimestamp(found.closed_until_ms / 1000, UTC)
            pause = f"; not asked until {times.clock(closed, now)}" if closed > now else ""
            count = f"{found.failures} requests in a row failed: " if found.failures > 1 else ""
            doctor = hints.gatehouse("doctor", "--online")
            yield Trouble(f"model {provider.by}", f"{count}{found.why}{pause}", doctor, is_bad=False)


def of_drafts() -> Iterator[Trouble]:
    """Yield how many drafts wait for a person."""
    waiting = draft_list.waiting()
    if waiting:
        names = ", ".join(each.draft for each in waiting[:MAX_OF_A_KIND])
        drafts = "a draft waits" if len(waiting) == 1 else f"{len(waiting)} drafts wait"
        yield Trouble("writer", f"{drafts} for a person: {names}", hints.gatehouse("draft", "list"), is_bad=False)


def _few(told: list[Trouble], about: str, what: str, rest: str, total: int = 0) -> Iterator[Trouble]:
    """Yield the first problems of a kind, and how many more there are; `rest` is the command that lists them."""
    yield from told[:MAX_OF_A_KIND]
    more = max(total, len(told)) - MAX_OF_A_KIND
    if more > 0:
        yield Trouble(about, f"{more} more {what}", hints.gatehouse(rest), told[0].is_bad)
