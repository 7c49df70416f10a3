"""`gate dead` and `gate replay`: list the calls that ended without a result, and run one again."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from state import hints
from state.ledger import Ledger
from state.terminal import one_line
from workers import decisions
from workers.commands import times
from workers.commands.output import command, show, table
from workers.decisions import by_command
from workers.people import all_agents


@command("dead", "dead")
def dead(*, json_: bool) -> None:
    """List the calls whose attempts are used up, newest first."""
    ledger = Ledger()
    entries = [entry for agent in all_agents() for entry in ledger.dead(agent)]
    now = datetime.now(UTC)
    rows = [(entry["call"], entry["key"], times.when(entry["at"], now), entry["error"]) for entry in entries]
    show(json_, entries, table(rows) or "no call is dead")


@command("replay", "replay 0b83d839-ccdf-47d5-91d9-f02e923ecf03")
@click.argument("call")
@click.option("--why", default="replayed", show_default=True, help="What to tell the next person who looks.")
def replay(call: str, why: str, *, json_: bool) -> None:
    """Run CALL again, with the same arguments and under the same id."""
    answer = decisions.replay(call, by_command(why))
    show(json_, answer, f"{one_line(call)} runs again; see: {hints.gatehouse('explain', call)}")


commands = (dead, replay)
