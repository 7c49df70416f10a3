"""`gate status` and `gate explain`: the state of the system, and the history of one key or call."""

from __future__ import annotations

import json
from typing import Any

import click

from gatekeeper.policies.spec import agents
from state import hints
from state.agents import history
from state.agents import snapshot as state
from state.ledger import Ledger
from tasks.monitor import overdue
from workers.commands import vitals
from workers.commands.output import Failed, check_agent, command, plain, show, table
from workers.people import all_agents

#: Fields that are printed below the history.
_FOOTER = ("result", "flaw", "why", "waits", "answer")


@command("status")
@click.argument("agent", required=False)
def status(agent: str | None, *, json_: bool) -> None:
    """Show who runs and who is silent, and each agent: when it ran, what it counts, whether it is paused, what is held."""
    if agent:
        check_agent(agent)
    liveness, late = overdue.current()
    silent = {"silent": vitals.silent_in_json(liveness)}
    names = [agent] if agent else agents()
    heads = [_head(name) | silent | {"overdue": vitals.overdue_in_json(late, name)} for name in names]
    texts = [_agent_text(plain(head), idle=not liveness.can_run()) for head in heads]
    show(json_, heads, "\n\n".join([vitals.summary(liveness, late), *texts]))


@command("explain")
@click.argument("key")
def explain(key: str, *, json_: bool) -> None:
    """Show the whole history of one key or call, in order."""
    record = history.read_history(all_agents(), key)
    if record is None:
        raise Failed(f"no key and no call {key!r} is known; keys look like publish:feed:hello")
    show(json_, record, _history_text(record))


def _head(agent: str) -> dict[str, Any]:
    """Return the head of the state file, and why effects are closed, if they are."""
    return state.snapshot(agent).head | {"closed": Ledger().statuses([agent])[agent].closed}


def _agent_text(head: dict[str, Any], *, idle: bool) -> str:
    activity = f"PAUSED by {head['pause']['by']}: {head['pause']['why']}" if head["paused"] else "running"
    activity = "NOT RUNNING: there is no worker" if idle and not head["paused"] else activity
    totals = {name: count for name, count in head["metrics"].items() if name.startswith("total_")}
    counts = "  ".join(f"{name.removeprefix('total_')} {count}" for name, count in totals.items())
    lines = [f"{head['agent']:12}{activity}", f"  last run  {head['last_run'] or 'never'}", f"  counts    {counts}"]
    lines += [f"  EFFECTS CLOSED: {head['closed']}; run: {hints.gatehouse('recover')}"] if head["closed"] else []
    lines += [
        f"  held      {held['key']}  {held['state']} since {held['since']}: {held['why']}" for held in head["held"]
    ]
    lines += [
        f"  error     {error['at']}  {error['key']}: {error['error']}{_wait_text(error)}"
        for error in head["errors"][:3]
    ]
    return "\n".join(lines)


def _wait_text(error: dict[str, Any]) -> str:
    """Return what is added to an error after which the call waits."""
    return f"; waits since {error['since']}, tried again at {error['until']}" if "until" in error else ""


def _history_text(record: dict[str, Any]) -> str:
    footer = [f"{name}: {json.dumps(record[name], ensure_ascii=False)}" for name in _FOOTER if record.get(name)]
    record = plain(record)
    flaw = f", but {record['flaw']['error']}" if record.get("flaw") else ""
    attempts = "1 attempt" if record["attempts"] == 1 else f"{record['attempts']} attempts"
    head = f"{record['key'] or record['call']}  {record['state'].upper()}{flaw}  ({record['task']}, {attempts})"
    return "\n".join([head, *table([_event_row(event) for event in record["story"]]).splitlines(), *footer])


def _event_row(event: dict[str, Any]) -> tuple[str, str, str]:
    first = [name for name in ("stage", "error", "door", "attempt") if name in event]
    names = [*first, *(name for name in event if name not in {"at", "event", *first})]
    rest = "  ".join(f"{name}={event[name]}" for name in names)
    return event["at"], event["event"], rest


commands = (status, explain)
