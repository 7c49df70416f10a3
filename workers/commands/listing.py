"""`gate list`: the keys and calls of all agents, newest first."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from gatekeeper.errors import PolicyError
from gatekeeper.policies.durations import duration_ms
from state import hints
from state.agents import calls
from state.agents.calls import FoundCall, Wanted
from state.formatting import iso
from workers.commands import times
from workers.commands.output import Misused, check_agent, command, show, table
from workers.commands.paint import cut, paint, width, wrapped
from workers.people import all_agents

STATES = ("queued", "claimed", "sending", "done", "waiting", "unknown", "held", "rejected", "cancelled")
#: How each state looks; the others are as the rest of the line.
STYLES = {"unknown": "bad", "held": "bad", "rejected": "warn", "waiting": "warn", "done": "good", "cancelled": "quiet"}
#: Calls that are listed at most: more than a person reads, and a file of a few hundred kilobytes as JSON.
MAX_LIMIT = 10_000
#: Columns that a row needs beside its key, and from which on a row has room for its task too.
NARROW, WIDE = 26, 110

_NUMBER = re.compile(r"\d+(\.\d+)?")


@command("list", "list --state rejected --since 2h", "list --agent publisher --search hello")
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="In this state; may be given again.")
@click.option("--agent", help="Of this agent.")
@click.option("--task", default="", help="Of this task, such as tasks.publisher.publish or publish.")
@click.option("--since", help="Made since then: 2h, 3d, or a time such as 2026-11-22T06:00Z.")
@click.option("--search", default="", help="With this text in the key, the call's id, the task or the reason.")
@click.option("--limit", type=click.IntRange(1, MAX_LIMIT), default=20, show_default=True, help="So many at most.")
def list_(
    *, states: tuple[str, ...], agent: str | None, task: str, since: str | None, search: str, limit: int, json_: bool
) -> None:
    """List keys and calls, newest first; refused calls are among them."""
    if agent and agent not in all_agents():
        check_agent(agent)
    now = datetime.now(UTC)
    wanted = Wanted(frozenset(states), task, _since_ms(since, now), search, limit)
    found = calls.newest([agent] if agent else all_agents(), wanted)
    rows = [asdict(each) | {"at": iso(each.at_ms) if each.at_ms else None} for each in found.calls]
    for row in rows:
        del row["at_ms"]
    lines = [table([_row(each, now) for each in found.calls]) or "nothing fits"]
    if found.total > limit:
        lines.append(paint(f"{found.total - limit:,} more; --limit {min(found.total, MAX_LIMIT)} lists them", "quiet"))
    lines += [paint(line, "quiet") for line in wrapped(found.cut, 0)] if found.cut else []
    if found.calls:
        lines.append(f"see one: {hints.gatehouse('explain', _name(found.calls[0]))}")
    show(json_, rows, "\n".join(lines))


def _name(each: FoundCall) -> str:
    """Return what `explain` is to be asked for: the call if it is another story than its key."""
    return each.call if each.state in {"rejected", "cancelled"} or each.replayed else each.key


def _row(each: FoundCall, now: datetime) -> tuple[str, ...]:
    when = times.ago(datetime.fromtimestamp(each.at_ms / 1000, UTC), now) if each.at_ms else ""
    state = paint(each.state, STYLES.get(each.state, ""))
    is_named = not each.stage or each.error.startswith(each.stage)
    why = each.error if is_named else f"{each.stage}: {each.error}".removesuffix(": ")
    why = "replayed: its key was done before" if each.replayed else why
    columns = width()
    name = cut(each.key or each.call, columns and columns - NARROW)
    return when, state, name, why or (each.task if columns is None or columns >= WIDE else "")


def _since_ms(text: str | None, now: datetime) -> int:
    """Return the time that `--since` names, in milliseconds since 1970; 0 without one."""
    if not text:
        return 0
    try:
        if "-" not in text and not _NUMBER.fullmatch(text):
            return round((now - timedelta(milliseconds=duration_ms(text))).timestamp() * 1000)
        return round(times.parsed(text).timestamp() * 1000)
    except (ValueError, OverflowError, PolicyError):
        raise Misused(f"--since {text!r} is not a time; write 2h, 3d or 2026-11-22T06:00Z") from None


commands = (list_,)
