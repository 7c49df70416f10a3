"""`gatehouse draft list`, `approve` and `reject`: the writer's drafts, which wait for a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import click

from clients.text.words import counted
from gatekeeper.redact import clean
from state import hints
from tasks.writer import drafts, review
from tasks.writer.review import Decided, Waiting
from workers.commands.output import Failed, command, show, table
from workers.people import person

draft = click.Group("draft", help="Look at the writer's drafts, and publish or reject them.")


@command("list")
def list_(*, json_: bool) -> None:
    """List the drafts that wait, the oldest first. Those that cannot be used are listed with the reason."""
    waiting = review.waiting()
    rows = [_row(each) for each in waiting]
    usable = next((each.draft for each in waiting if each.state != "broken"), None)
    lines = [table(rows), f"read them in {drafts.folder()}"] if rows else ["no draft waits"]
    if usable:
        lines.append(f"publish one: {hints.gatehouse('draft', 'approve', usable)}")
        lines.append(f"or do not: {hints.gatehouse('draft', 'reject', usable, '--why', '…')}")
    show(json_, [asdict(each) for each in waiting], "\n".join(lines))


def _row(each: Waiting) -> tuple[str, ...]:
    if each.state == "broken":
        return each.draft, "broken", each.why, ""
    made_by = f"by {each.made_by or 'a person'}, {counted(len(each.sources), 'source', 'sources')}"
    return each.draft, str(each.since)[:16].replace("T", " "), each.title, made_by


@command("approve")
@click.argument("name")
def approve(name: str, *, json_: bool) -> None:
    """Make the draft NAME a post. The publisher finds it at its next tick."""
    _decide(lambda: review.approve(name), json_=json_)


@command("reject")
@click.argument("name")
@click.option("--why", required=True, help="The reason; the file keeps it.")
def reject(name: str, why: str, *, json_: bool) -> None:
    """Take the draft NAME away. It is not published, and its items are not drafted again."""
    _decide(lambda: review.reject(name, person(), clean(why)), json_=json_)


def _decide(decide: Callable[[], Decided], *, json_: bool) -> None:
    try:
        decided = decide()
    except review.NotDecided as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"the draft cannot be moved: {error.strerror}: {error.filename}") from None
    text = f"{decided.draft} is {decided.state}" if decided.is_new else f"{decided.draft} was {decided.state} before"
    show(json_, asdict(decided), f"{text}: {decided.file}")


for each in (list_, approve, reject):
    draft.add_command(each)

commands = (draft,)
