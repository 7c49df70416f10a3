"""`gate autonomy`: show how far an agent may go, or change it."""

from __future__ import annotations

import click

from state.agents import autonomy
from state.agents.autonomy import MODES, Mode
from workers import decisions
from workers.commands.output import Misused, check_agent, command, say, show

#: What each mode means, in a few words.
MEANS: dict[Mode, str] = {
    "observe": "it runs, and sends nothing: the story of each key says what it would have sent",
    "ask": "each effect waits for a person's approval",
    "act": "it sends",
}


@command("autonomy", "autonomy publisher", 'autonomy publisher ask --why "new prompts"')
@click.argument("agent")
@click.argument("mode", required=False, type=click.Choice(MODES))
@click.option("--why", default="", help="What to tell the next person who looks; needed with a mode.")
def set_autonomy(agent: str, mode: Mode | None, why: str, *, json_: bool) -> None:
    """Show how far AGENT may go, or set it to observe, ask or act. What is held stays held."""
    check_agent(agent)
    if mode is None:
        now = autonomy.mode(agent)
        show(json_, {"agent": agent, "autonomy": now}, f"{agent}: {now}: {MEANS[now]}")
        return
    if not why.strip():
        raise Misused("say why: the next person who looks will read it (--why)")
    older = decisions.older_processes(mode)
    before = decisions.set_autonomy(agent, mode, decisions.by_command(why))
    show(
        json_,
        {"agent": agent, "autonomy": mode, "before": before},
        f"{agent}: {mode} (before: {before}): {MEANS[mode]}",
    )
    if older:
        say(
            f"{', '.join(older)}: of an older version, which sends without asking until it ends, some seconds from now; "
            "upgrade it, as docs/upgrade.md says",
            err=True,
        )


commands = (set_autonomy,)
