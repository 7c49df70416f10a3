"""`gate held`, `gate approve` and `gate resolve`: list the keys that wait for a person, and decide about one."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import IO, Any, cast

import click

from clients.text import strict_json
from state import hints
from state.ledger import Ledger
from state.ledger.resolve import How
from state.terminal import one_line
from workers import decisions
from workers.commands import times
from workers.commands.output import Failed, Misused, command, say, show, table
from workers.decisions import by_command
from workers.people import all_agents, note_that_somebody_looks

#: Characters of a payload that are shown before it is sent again.
MAX_SHOWN = 1000

seen_option = click.option(
    "--seen", default="", help="The version that you saw (held --json): if the key changed since, nothing is decided."
)


@command("held", "held", "held --json")
def held(*, json_: bool) -> None:
    """List the keys that wait for a person or for a look-up."""
    note_that_somebody_looks(json_=json_)
    ledger = Ledger()
    entries = [entry for agent in all_agents() for entry in ledger.held(agent)]
    now = datetime.now(UTC)
    rows = [(entry["key"], entry["state"], times.when(entry["since"], now), entry["why"]) for entry in entries]
    how = f"\nhow to decide: {hints.gatehouse('explain', entries[0]['key'])}" if entries else ""
    show(json_, entries, (table(rows) or "nothing is held") + how)


@command("approve", 'approve publish:feed:hello --why "read it"')
@click.argument("key")
@click.option("--why", default="approved", show_default=True, help="What to tell the next person who looks.")
@seen_option
def approve(key: str, why: str, seen: str, *, json_: bool) -> None:
    """Let KEY run, which was held before anything was sent."""
    _show(decisions.approve(key, by_command(why), seen=seen), json_=json_)


@command("revise", 'revise publish:mastodon:hello --payload hello.json --why "the server refused the length"')
@click.argument("key")
@click.option("--payload", "file", required=True, type=click.File(), help="A file of JSON, or - for standard input.")
@click.option("--why", required=True, help="What you changed; the next person who looks will read it.")
@seen_option
def revise(key: str, file: IO[str], why: str, seen: str, *, json_: bool) -> None:
    """Send your payload of KEY. It replaces one that waits for approval, or that its provider refused."""
    try:
        text = file.read()
    except ValueError:
        raise Misused(f"{file.name} is not UTF-8; write it as JSON") from None
    _show(decisions.revise(key, text, by_command(why), seen=seen), json_=json_)


@command(
    "resolve",
    'resolve publish:mastodon:hello --applied --why "I see it there"',
    'resolve publish:mastodon:hello --not-applied --why "it is not there"',
    'resolve publish:mastodon:hello --cancel --why "too old"',
)
@click.argument("key")
@click.option("--applied", is_flag=True, help="It is out there: never send it again.")
@click.option("--not-applied", is_flag=True, help="It is not out there: send it. Asks first, if a terminal is there.")
@click.option("--cancel", is_flag=True, help="Whatever became of it: never send it.")
@click.option("--why", required=True, help="How you know; the next person who looks will read it.")
@click.option("--result", help="JSON to answer when the key is asked for again; with --applied.")
@click.option(
    "--force", is_flag=True, help="Although the process that was sending it may be alive; with --not-applied."
)
@click.option("--yes", is_flag=True, help="Do not ask before it is sent again; with --not-applied.")
@seen_option
def decide(  # noqa: PLR0913 - one argument per option, all by name
    key: str,
    why: str,
    result: str | None,
    seen: str,
    *,
    applied: bool,
    not_applied: bool,
    cancel: bool,
    force: bool,
    yes: bool,
    json_: bool,
) -> None:
    """Decide what happened to KEY, whose outcome is unknown. Say --applied, --not-applied or --cancel."""
    how = _one_of(applied=applied, not_applied=not_applied, cancel=cancel)
    _check_options(how, result=result, force=force, yes=yes)
    person, answer = by_command(why), _check_json(result or "null")
    if how == "not-applied" and not yes and sys.stdin.isatty():
        _ask_before_sending(key)
    decided = decisions.resolve(key, how, person, seen=seen, result=answer, force=force)
    _show(decided, json_=json_)


def _one_of(**flags: bool) -> How:
    """Return the one flag that was given. Raises Misused for none and for several."""
    given = [name.replace("_", "-") for name, is_given in flags.items() if is_given]
    if not given:
        raise Misused("say what became of it: --applied, --not-applied or --cancel")
    if len(given) > 1:
        raise Misused(f"--{' and --'.join(given)} contradict each other; say exactly one of them")
    return cast("How", given[0])


def _check_options(how: How, *, result: str | None, force: bool, yes: bool) -> None:
    """Raise Misused for an option that belongs to another flag than the one that was given."""
    given = {
        "--result": (result is not None, "applied"),
        "--force": (force, "not-applied"),
        "--yes": (yes, "not-applied"),
    }
    for option, (is_given, belongs_to) in given.items():
        if is_given and how != belongs_to:
            raise Misused(f"{option} belongs to --{belongs_to}, and you say --{how}; remove one of them")


def _ask_before_sending(key: str) -> None:
    """Show what will be sent, and raise Failed unless the person at the terminal agrees."""
    record = decisions.find(key)
    payload = json.dumps(record.get("payload"), ensure_ascii=False)
    shown = payload[:MAX_SHOWN] + (f"… ({len(payload)} characters)" if len(payload) > MAX_SHOWN else "")
    say(f"{one_line(record['key'])} is {record['state']}. It will be sent with this payload:\n{shown}", err=True)
    if not click.confirm("Are you sure that it is not out there, and shall it be sent?", err=True):
        raise Failed(f"{record['key']} is unchanged, and nothing is sent")


def _show(answer: dict[str, Any], *, json_: bool) -> None:
    key = answer["key"]
    show(json_, answer, f"{one_line(key)} is {answer['state']} now; see: {hints.gatehouse('explain', key)}")


def _check_json(text: str) -> str:
    try:
        return json.dumps(strict_json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        raise Misused(
            f'--result {text[:MAX_SHOWN]!r} is not JSON; write for example --result \'{{"id": "42"}}\''
        ) from None


commands = (held, approve, revise, decide)
