"""`gate status`: what is wrong now, the worst first; then one row per agent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import click

import settings
from gatekeeper.policies.spec import agents
from state.agents.snapshot import Snapshot, snapshot
from state.agents.used_up import UsedUp
from state.formatting import iso
from state.ledger import LedgerStatus
from state.processes.liveness import KINDS, Liveness
from tasks.monitor import budgets, overdue, schedule_checks
from tasks.monitor.overdue import Overdue
from workers.commands import times, trouble, vitals
from workers.commands.output import check_agent, command, plain, say, show, table
from workers.commands.paint import paint, width, wrapped
from workers.commands.trouble import Trouble
from workers.people import note_that_somebody_looks
from workers.readings.agents import ledgers

#: Counters with a column of their own, by its head; the others follow in the last column, without those of each stage.
_COLUMNS = {"done": "total_done", "failed": "total_failed", "refused": "total_refused"}
#: Columns that the text of a problem is indented by.
_INDENT = 4


@command("status", "status", "status publisher", "status --json")
@click.argument("agent", required=False)
def status(agent: str | None, *, json_: bool) -> None:
    """Show what is wrong and what helps, then a row per agent. The worst comes first."""
    note_that_somebody_looks(json_=json_)
    if agent:
        check_agent(agent)
    if json_:
        show(json_, heads([agent] if agent else agents()), "")
        return
    liveness, late = overdue.current()
    states = [snapshot(name) for name in ([agent] if agent else agents())]
    closed = ledgers([state.head["agent"] for state in states])
    now = datetime.now(UTC)
    lines = [
        *_troubles([*trouble.of_processes(liveness, _of(late, agent)), *_found(states, closed, agent, now)]),
        *_rows(plain([state.head for state in states]), closed, liveness, now),
        *_footer(liveness),
    ]
    say("\n".join(lines))


def heads(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the status of these agents, as `gate status --json` prints it."""
    liveness, late = overdue.current()
    silent = {"silent": vitals.silent_in_json(liveness)}
    states, closed, stopping = [snapshot(name) for name in names], ledgers(names), budgets.stopping(names)
    return [
        _head(state, closed)
        | {"budgets": [_budget(each) for each in stopping[state.head["agent"]]]}
        | silent
        | {"overdue": vitals.overdue_in_json(late, state.head["agent"])}
        for state in states
    ]


def _budget(each: UsedUp) -> dict[str, Any]:
    """Return a budget that is used up, with its times in ISO 8601."""
    numbers = {"limit": each.limit, "tokens": each.tokens}
    times_ = {"since": iso(each.since_ms), "until": iso(each.until_ms)}
    return {"task": each.task, "scope": each.scope, "rule": each.rule, **numbers, "key": each.key, **times_}


def _of(late: list[Overdue], agent: str | None) -> list[Overdue]:
    return [each for each in late if agent in (None, each.agent)]


def _found(
    states: Sequence[Snapshot], closed: dict[str, LedgerStatus], agent: str | None, now: datetime
) -> Iterator[Trouble]:
    """Yield what is wrong with the agents, and with what they work on; `agent` if only that one is asked for."""
    for state in states:
        yield from trouble.of_agent(state, closed[state.head["agent"]], now)
    if agent in (None, "publisher"):
        yield from trouble.of_posts()
    if agent in (None, "writer"):
        yield from trouble.of_drafts()
    if agent is None:
        yield from trouble.of_incidents()
        yield from trouble.of_journal()
        yield from trouble.of_schedule(schedule_checks.schedule())
        yield from trouble.of_models(now)


def _head(state: Snapshot, closed: dict[str, LedgerStatus]) -> dict[str, Any]:
    """Return the head of the state file, and why effects are closed, if they are."""
    return state.head | {"closed": closed[state.head["agent"]].closed}


def _troubles(found: Sequence[Trouble]) -> Iterator[str]:
    """Yield the lines of the problems, those first that let something stand still."""
    if not found:
        yield paint("All is well.", "good")
    for each in sorted(found, key=lambda each: not each.is_bad):
        head, text = plain((each.about, each.text))
        style = "bad" if each.is_bad else "warn"
        begin = f"{paint(head, style)}  "
        first, *rest = (
            wrapped(text, len(head) + 2, begin)
            if _fits_beside(head)
            else [begin.rstrip(), *wrapped(text, _INDENT, " " * _INDENT)]
        )
        yield first
        yield from rest
        if each.command:
            yield f"{' ' * _INDENT}{paint(each.command, 'good')}"
    yield ""


def _fits_beside(head: str) -> bool:
    return len(head) + 2 <= (width() or 120) // 3


def _rows(
    heads: list[dict[str, Any]], closed: dict[str, LedgerStatus], liveness: Liveness, now: datetime
) -> Iterator[str]:
    names = ("agent", "state", "last run", *_COLUMNS, "")
    rows: list[tuple[str, ...]] = [tuple(paint(name, "quiet") for name in names)]
    for head in heads:
        metrics = head["metrics"]
        last = times.ago(head["last_run"], now) if head["last_run"] else "never"
        counts = [str(metrics.get(total, 0)) for total in _COLUMNS.values()]
        rows.append((head["agent"], _activity(head, closed, liveness), last, *counts, _others(head)))
    yield from table(rows, cut=True).splitlines()


def _activity(head: dict[str, Any], closed: dict[str, LedgerStatus], liveness: Liveness) -> str:
    if head["paused"]:
        return paint("PAUSED", "bad")
    if not liveness.can_run():
        return paint("NOT RUNNING", "bad")
    if closed[head["agent"]].closed:
        return paint("CLOSED", "bad")
    mode = {"observe": " (observes)", "ask": " (asks first)"}.get(head["autonomy"], "")
    return paint(f"running{mode}", "good")


def _others(head: dict[str, Any]) -> str:
    """Return the keys that wait for a person, and the agent's own counters."""
    held = [f"held {head['held_total']}"] if head["held"] else []
    shown = {*_COLUMNS.values()}
    totals = {name: count for name, count in head["metrics"].items() if name.startswith("total_") and name not in shown}
    return "  ".join([*held, *(f"{name.removeprefix('total_')} {count}" for name, count in totals.items())])


def _footer(liveness: Liveness) -> Iterator[str]:
    """Yield who runs, and which installation this is about."""
    counts = ", ".join(f"{len(liveness.of(kind))} {kind}" for kind in KINDS)
    yield ""
    yield from wrapped(f"{counts} alive; data in {settings.current().state_dir}", 0)


commands = (status,)
