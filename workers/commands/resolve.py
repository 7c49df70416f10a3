"""`gate held`, `gate approve` and `gate resolve`: list the keys that wait for a person, and decide about one."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any, cast

import click

from clients.text import strict_json
from gatekeeper.redact import clean
from state import hints
from state.agents import history, state_file
from state.ledger import Ledger
from state.ledger.resolve import How, Resolution
from state.terminal import one_line
from workers.commands import times
from workers.commands.output import Failed, Misused, command, say, show, table
from workers.people import all_agents, person

#: Characters of a payload that are shown before it is sent again.
MAX_SHOWN = 1000


@command("held", "held", "held --json")
def held(*, json_: bool) -> None:
    """List the keys that wait for a person or for a look-up."""
    ledger = Ledger()
    entries = [entry for agent in all_agents() for entry in ledger.held(agent)]
    now = datetime.now(UTC)
    rows = [(entry["key"], entry["state"], times.when(entry["since"], now), entry["why"]) for entry in entries]
    how = f"\nhow to decide: {hints.gatehouse('explain', entries[0]['key'])}" if entries else ""
    show(json_, entries, (table(rows) or "nothing is held") + how)


@command("approve", 'approve publish:feed:hello --why "read it"')
@click.argument("key")
@click.option("--why", default="approved", show_default=True, help="What to tell the next person who looks.")
def approve(key: str, why: str, *, json_: bool) -> None:
    """Let KEY run, which was held before anything was sent."""
    _resolve(key, Resolution("approve", person(), clean(why)), json_=json_)


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
def decide(  # noqa: PLR0913 - one argument per option, all by name
    key: str,
    why: str,
    result: str | None,
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
    resolution = Resolution(how, person(), clean(why), _check_json(result or "null"), force)
    if how == "not-applied" and not yes and sys.stdin.isatty():
        _ask_before_sending(key)
    _resolve(key, resolution, json_=json_)


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
    record = _read(key)
    payload = json.dumps(record.get("payload"), ensure_ascii=False)
    shown = payload[:MAX_SHOWN] + (f"… ({len(payload)} characters)" if len(payload) > MAX_SHOWN else "")
    say(f"{one_line(record['key'])} is {record['state']}. It will be sent with this payload:\n{shown}", err=True)
    if not click.confirm("Are you sure that it is not out there, and shall it be sent?", err=True):
        raise Failed(f"{record['key']} is unchanged, and nothing is sent")


def _read(key: str) -> dict[str, Any]:
    record = history.read_history(all_agents(), key)
    if record is None:
        raise Failed(f"no key {key!r} is known; see: {hints.gatehouse('held')}")
    return record


def _resolve(key: str, resolution: Resolution, *, json_: bool) -> None:
    record = _read(key)
    agent, key = record["agent"], record["key"]
    state = Ledger().resolve(agent, key, resolution)
    state_file.write(agent)
    answer: dict[str, Any] = {"key": key, "agent": agent, "state": state, "by": resolution.by, "why": resolution.why}
    show(json_, answer, f"{one_line(key)} is {state} now; see: {hints.gatehouse('explain', key)}")


def _check_json(text: str) -> str:
    try:
        return json.dumps(strict_json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        raise Misused(
            f'--result {text[:MAX_SHOWN]!r} is not JSON; write for example --result \'{{"id": "42"}}\''
        ) from None


commands = (held, approve, decide)
