"""`gatehouse draft list`, `approve` and `reject`: the writer's drafts, which wait for a person."""

from __future__ import annotations

from dataclasses import asdict

import click

from clients.text.words import counted
from state import hints
from tasks.writer import draft_list, drafts
from tasks.writer.draft_list import WaitingDraft
from tasks.writer.review import Decided
from workers import decisions
from workers.commands.output import command, show, table
from workers.decisions import by_command

draft = click.Group("draft", help="Look at the writer's drafts, and publish or reject them.")


@command("list")
def list_(*, json_: bool) -> None:
    """List the drafts that wait, the oldest first. Those that cannot be used are listed with the reason."""
    waiting = draft_list.waiting()
    rows = [_row(each) for each in waiting]
    usable = next((each.draft for each in waiting if each.state != "broken"), None)
    lines = [table(rows), f"read them in {drafts.folder()}"] if rows else ["no draft waits"]
    if usable:
        lines.append(f"publish one: {hints.gatehouse('draft', 'approve', usable)}")
        lines.append(f"or do not: {hints.gatehouse('draft', 'reject', usable, '--why', '…')}")
    show(json_, [asdict(each) for each in waiting], "\n".join(lines))


def _row(each: WaitingDraft) -> tuple[str, ...]:
    if each.state == "broken":
        return each.draft, "broken", each.why, ""
    made_by = f"by {each.made_by or 'a person'}, {counted(len(each.sources), 'source', 'sources')}"
    return each.draft, str(each.since)[:16].replace("T", " "), each.title, made_by


@command("approve")
@click.argument("name")
@click.option("--why", default="approved", show_default=True, help="What to tell the next person who looks.")
def approve(name: str, why: str, *, json_: bool) -> None:
    """Make the draft NAME a post. The publisher finds it at its next tick."""
    _show(decisions.draft_approve(name, by_command(why)), json_=json_)


@command("reject")
@click.argument("name")
@click.option("--why", required=True, help="The reason; the file keeps it.")
def reject(name: str, why: str, *, json_: bool) -> None:
    """Take the draft NAME away. It is not published, and its items are not drafted again."""
    _show(decisions.draft_reject(name, by_command(why)), json_=json_)


def _show(decided: Decided, *, json_: bool) -> None:
    text = f"{decided.draft} is {decided.state}" if decided.is_new else f"{decided.draft} was {decided.state} before"
    show(json_, asdict(decided), f"{text}: {decided.file}")


for each in (list_, approve, reject):
    draft.add_command(each)

commands = (draft,)
