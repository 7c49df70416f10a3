"""`gate run`: one schedule entry now."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from state import store, story
from workers.gate.output import Failed, command, show
from workers.schedule import load, tick
from workers.scheduler import start


@command("run")
@click.argument("entry")
@click.option("--due", help="Run the tick of this time, such as 2026-11-22T06:00Z, if it did not run yet.")
@click.pass_context
def run(context: click.Context, entry: str, due: str | None, *, json_: bool) -> None:
    """Run one schedule ENTRY now. Its identity is the entry and this second, or the time given by --due."""
    entries = load()
    if entry not in entries:
        raise Failed(f"there is no schedule entry {entry!r}; there are: {', '.join(entries)}")
    moment = _moment(due)
    agent = entries[entry].gate.agent
    before = story.of_call(store.client(), agent, tick(entries[entry], moment))
    call = start(context.obj.app, entries[entry], moment, "gate run")
    answer: dict[str, str | None] = {
        "entry": entry,
        "task": entries[entry].gate.name,
        "call": call,
        "due": moment.isoformat(),
    }
    answer["before"] = before["state"] if before else None
    done = f"this tick ran before and is {before['state']}; nothing new was started" if before else f"call {call}"
    show(json_, answer, f"{entry}: {done}\nsee: celery -A workers gate explain {call}")


def _moment(due: str | None) -> datetime:
    try:
        moment = datetime.fromisoformat(due) if due else datetime.now(UTC)
    except ValueError:
        raise Failed(f"{due!r} is not a time; write for example 2026-11-22T06:00Z") from None
    return moment.replace(microsecond=0, tzinfo=moment.tzinfo or UTC)


commands = (run,)
