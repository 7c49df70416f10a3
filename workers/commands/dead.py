"""`gate dead` and `gate replay`: list the calls that ended without a result, and run one again."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import click

from gatekeeper.policies.spec import registered
from state import hints
from state.agents import state_file
from state.ledger import Ledger
from state.terminal import one_line
from workers.commands import times
from workers.commands.output import Failed, command, show, table
from workers.people import all_agents, person


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
def replay(call: str, *, json_: bool) -> None:
    """Run CALL again, with the same arguments and under the same id."""
    effects = {name for name, spec in registered().items() if spec.effect}
    again = partial(Ledger().replay, call=call, by=person(), effects=effects)
    owner = next((agent for agent in all_agents() if again(agent=agent)), None)
    if owner is None:
        raise Failed(f"no call {call!r} is known; see: {hints.gatehouse('dead')}")
    state_file.write(owner)
    show(
        json_,
        {"call": call, "agent": owner, "state": "waiting"},
        f"{one_line(call)} runs again; see: {hints.gatehouse('explain', call)}",
    )


commands = (dead, replay)
