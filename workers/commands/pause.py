"""`gate pause`, `gate resume` and `gate stop-all`: stop agents from starting calls, and let them start again."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from gatekeeper.policies.spec import agents
from gatekeeper.redact import clean
from state import hints
from state.agents import pause as pauses
from state.agents import snapshot as state
from state.agents import state_file
from workers.commands import times
from workers.commands.output import Misused, check_agent, command, plain, show
from workers.people import person


@command("pause", 'pause publisher --why "looking at the numbers"')
@click.argument("agent")
@click.option("--why", required=True, help="What to tell the next person who looks.")
def pause(agent: str, why: str, *, json_: bool) -> None:
    """Let nothing of AGENT start until it is resumed. An agent that is paused already keeps the first reason."""
    check_agent(agent)
    is_new, head = _pause(agent, why), state.snapshot(agent).head
    first = plain(head["pause"] or {})
    was = "" if is_new else f" already, by {first['by']} {times.ago(first['at'], datetime.now(UTC))}: {first['why']}"
    show(json_, head, f"{agent} is paused{was}; resume: {hints.gatehouse('resume', agent)}")


@command("resume", "resume publisher", "resume --all")
@click.argument("agent", required=False)
@click.option("--all", "all_", is_flag=True, help="Every agent that is paused.")
def resume(agent: str | None, *, all_: bool, json_: bool) -> None:
    """Let AGENT run again, or with --all every agent."""
    if (agent is None) != all_:
        raise Misused("name one agent, or say --all")
    if agent is None:
        resumed = [each for each in agents() if _resume(each)]
        show(json_, {"resumed": resumed}, f"runs again: {', '.join(resumed)}" if resumed else "no agent was paused")
        return
    check_agent(agent)
    was_paused = _resume(agent)
    show(json_, state.snapshot(agent).head, f"{agent} runs" if was_paused else f"{agent} was not paused")


@command("stop-all", 'stop-all --why "looking at it"')
@click.option("--why", default="stop-all", show_default=True, help="What to tell the next person who looks.")
def stop_all(why: str, *, json_: bool) -> None:
    """Pause every agent at once. An effect that has not started is not sent."""
    for agent in agents():
        _pause(agent, why)  # an agent that is paused already keeps the first reason
    show(json_, {"paused": agents()}, f"paused: {', '.join(agents())}")


def _pause(agent: str, why: str) -> bool:
    """Pause an agent; returns False if it was paused already."""
    is_new = pauses.pause(agent, person(), clean(why))
    state_file.write(agent)
    return is_new


def _resume(agent: str) -> bool:
    """Lift an agent's pause; returns False if there was none."""
    was_paused = pauses.resume(agent)
    state_file.write(agent)
    return was_paused


commands = (pause, resume, stop_all)
