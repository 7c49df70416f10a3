"""`gate status` and `gate explain`."""

from __future__ import annotations

import json
from typing import Any

import click

from gatekeeper.policies.spec import agents
from state.agents import history
from state.agents import snapshot as state
from state.ledger import Ledger
from tasks.monitor import overdue
from workers.commands import vitals
from workers.commands.output import Failed, command, known_agent, plain, show, table
from workers.people import all_agents

#: What may stand below a story.
_ENDS = ("result", "flaw", "why", "waits", "answer")


@command("status")
@click.argument("agent", required=False)
def status(agent: str | None, *, json_: bool) -> None:
    """Show who runs and who is silent, and each agent: when it ran, what it counts, whether it is paused, what is held."""
    if agent:
        known_agent(agent)
    standing, late = overdue.look()
    silent = {"silent": vitals.silent_in_json(standing)}
    names = [agent] if agent else agents()
    heads = [_head(name) | silent | {"overdue": vitals.overdue_in_json(late, name)} for name in names]
    words = [_in_words(plain(head), idle=not standing.can_run()) for head in heads]
    show(json_, heads, "\n\n".join([vitals.in_words(standing, late), *words]))


@command("explain")
@click.argument("key")
def explain(key: str, *, json_: bool) -> None:
    """Tell the whole story of one key or call, in order."""
    told = history.read_history(all_agents(), key)
    if told is None:
        raise Failed(f"no key and no call {key!r} is known; keys look like publish:feed:hello")
    show(json_, told, _story_in_words(told))


def _head(agent: str) -> dict[str, Any]:
    """The head of the state file, and why effects are closed, if they are."""
    return state.snapshot(agent).head | {"closed": Ledger().statuses([agent])[agent].closed}


def _in_words(head: dict[str, Any], *, idle: bool) -> str:
    standing = f"PAUSED by {head['pause']['by']}: {head['pause']['why']}" if head["paused"] else "running"
    standing = "NOT RUNNING: there is no worker" if idle and not head["paused"] else standing
    totals = {name: count for name, count in head["metrics"].items() if name.startswith("total_")}
    counts = "  ".join(f"{name.removeprefix('total_')} {count}" for name, count in totals.items())
    lines = [f"{head['agent']:12}{standing}", f"  last run  {head['last_run'] or 'never'}", f"  counts    {counts}"]
    lines += [f"  EFFECTS CLOSED: {head['closed']}; run: celery -A workers gate recover"] if head["closed"] else []
    lines += [
        f"  held      {held['key']}  {held['state']} since {held['since']}: {held['why']}" for held in head["held"]
    ]
    lines += [
        f"  error     {error['at']}  {error['key']}: {error['error']}{_wait(error)}" for error in head["errors"][:3]
    ]
    return "\n".join(lines)


def _wait(error: dict[str, Any]) -> str:
    """What is added to an error that is waited out."""
    return f"; waits since {error['since']}, tried again at {error['until']}" if "until" in error else ""


def _story_in_words(told: dict[str, Any]) -> str:
    ends = [f"{name}: {json.dumps(told[name], ensure_ascii=False)}" for name in _ENDS if told.get(name)]
    told = plain(told)
    flawed = f", but {told['flaw']['error']}" if told.get("flaw") else ""
    attempts = "1 attempt" if told["attempts"] == 1 else f"{told['attempts']} attempts"
    head = f"{told['key'] or told['call']}  {told['state'].upper()}{flawed}  ({told['task']}, {attempts})"
    return "\n".join([head, *table([_event_row(event) for event in told["story"]]).splitlines(), *ends])


def _event_row(event: dict[str, Any]) -> tuple[str, str, str]:
    first = [name for name in ("stage", "error", "door", "attempt") if name in event]
    names = [*first, *(name for name in event if name not in {"at", "event", *first})]
    rest = "  ".join(f"{name}={event[name]}" for name in names)
    return event["at"], event["event"], rest


commands = (status, explain)
