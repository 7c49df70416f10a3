"""`gate pause`, `gate resume` and `gate stop-all`: stop agents from starting calls, and let them start again."""

from __future__ import annotations

import click

from gatekeeper.policies.spec import agents
from gatekeeper.redact import clean
from state import hints
from state.agents import snapshot as state
from state.agents import state_file
from workers.commands.output import check_agent, command, show
from workers.people import person


@command("pause")
@click.argument("agent")
@click.option("--why", required=True, help="What to tell the next person who looks.")
def pause(agent: str, why: str, *, json_: bool) -> None:
    """Let nothing of AGENT start until it is resumed."""
    check_agent(agent)
    _pause(agent, why)
    show(json_, state.snapshot(agent).head, f"{agent} is paused; resume: {hints.gatehouse('resume', agent)}")


@command("resume")
@click.argument("agent")
def resume(agent: str, *, json_: bool) -> None:
    """Let AGENT run again."""
    check_agent(agent)
    was_paused = state.resume(agent)
    state_file.write(agent)
    show(json_, state.snapshot(agent).head, f"{agent} runs" if was_paused else f"{agent} was not paused")


@command("stop-all")
@click.option("--why", default="stop-all", show_default=True, help="What to tell the next person who looks.")
def stop_all(why: str, *, json_: bool) -> None:
    """Pause every agent at once; an effect that has not started is not sent."""
    for agent in agents():
        _pause(agent, why)
    show(json_, {"paused": agents()}, f"paused: {', '.join(agents())}")


def _pause(agent: str, why: str) -> None:
    state.pause(agent, person(), clean(why))
    state_file.write(agent)


commands = (pause, resume, stop_all)
