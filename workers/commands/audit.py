"""`gate audit`: the decisions of persons, newest first."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import click

from state.agents import audit
from state.agents.audit import AuditEntry
from workers.commands import times
from workers.commands.output import Misused, check_agent, command, show, table
from workers.people import all_agents

#: Decisions that are shown unless --limit says otherwise.
SHOWN = 50


@command("audit", "audit", "audit --agent publisher --door desk", "audit --by ada --json")
@click.option("--agent", help="Only decisions about this agent.")
@click.option("--by", "person", default="", help="Only those of this person.")
@click.option("--door", default="", help=f"Only those that came in here: {', '.join(audit.DOORS)}.")
@click.option("--what", default="", help="Only this kind, such as applied, pause or backfill.")
@click.option("--before", help="Only those before this one, by its `cursor` (--json): the next page.")
@click.option("--limit", type=click.IntRange(1, 1000), default=SHOWN, show_default=True, help="How many.")
def show_audit(
    agent: str | None, person: str, door: str, what: str, before: str | None, limit: int, *, json_: bool
) -> None:
    """Show who decided what, when, by which door and why."""
    if agent:
        check_agent(agent)
    asked = {"by": person, "door": door, "what": what}
    try:
        entries = audit.read([agent] if agent else all_agents(), limit=limit, before=before, **asked)
    except ValueError:
        raise Misused(f"--before {before!r} is not a cursor; take one of: audit --json") from None
    show(json_, [asdict(each) for each in entries], _text(entries) or "nobody has decided anything")


def _text(entries: list[AuditEntry]) -> str:
    now = datetime.now(UTC)
    return table([(times.when(each.at, now), each.agent, f"{each.by} ({each.door})", _what(each)) for each in entries])


def _what(entry: AuditEntry) -> str:
    subject = f" {entry.subject}" if entry.subject else ""
    end = f" → {entry.after}" if entry.after else ""
    return f"{entry.what}{subject}{end}: {entry.why}" if entry.why else f"{entry.what}{subject}{end}"


commands = (show_audit,)
