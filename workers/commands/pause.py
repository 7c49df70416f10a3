"""`gate pause`, `gate resume` and `gate stop-all`: stop agents from starting calls, and let them start again."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from gatekeeper.policies.spec import agents
from state import hints
from state.agents import snapshot as state
from workers import decisions
from workers.commands import times
from workers.commands.output import Misused, command, plain, show
from workers.decisions import by_command


@command("pause", 'pause publisher --why "looking at the numbers"')
@click.argument("agent")
@click.option("--why", required=True, help="What to tell the next person who looks.")
def pause(agent: str, why: str, *, json_: bool) -> None:
    """Let nothing of AGENT start until it is resumed. An agent that is paused already keeps the first reason."""
    is_new, head = decisions.pause(agent, by_command(why)), state.snapshot(agent).head
    first = plain(head["pause"] or {})
    was = "" if is_new else f" already, by {first['by']} {times.ago(first['at'], datetime.now(UTC))}: {first['why']}"
    show(json_, head, f"{agent} is paused{was}; resume: {hints.gatehouse('resume', agent)}")


@command("resume", "resume publisher", "resume --all")
@click.argument("agent", required=False)
@click.option("--all", "all_", is_flag=True, help="Every agent that is paused.")
@click.option("--why", default="resumed", show_default=True, help="What to tell the next person who looks.")
def resume(agent: str | None, why: str, *, all_: bool, json_: bool) -> None:
    """Let AGENT run again, or with --all every agent."""
    if (agent is None) != all_:
        raise Misused("name one agent, or say --all")
    if agent is None:
        resumed = [each for each in agents() if decisions.resume(each, by_command(why))]
        show(json_, {"resumed": resumed}, f"runs again: {', '.join(resumed)}" if resumed else "no agent was paused")
        return
    was_paused = decisions.resume(agent, by_command(why))
    show(json_, state.snapshot(agent).head, f"{agent} runs" if was_paused else f"{agent} was not paused")


@command("stop-all", 'stop-all --why "looking at it"')
@click.option("--why", default="stop-all", show_default=True, help="What to tell the next person who looks.")
def stop_all(why: str, *, json_: bool) -> None:
    """Pause every agent at once. An effect that has not started is not sent."""
    paused = decisions.stop_all(by_command(why))
    show(json_, {"paused": paused}, f"paused: {', '.join(paused)}")


commands = (pause, resume, stop_all)
