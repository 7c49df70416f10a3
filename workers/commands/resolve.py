"""`gate held`, `gate approve` and `gate resolve`: what waits for a person, and the person's word."""

from __future__ import annotations

import json
import sys
from typing import Any, cast

import click

from clients.text import strict_json
from gatekeeper.redact import clean
from state.agents import history, state_file
from state.ledger import Ledger
from state.ledger.resolve import How, NotResolved, Resolution
from state.terminal import one_line
from workers.commands.output import Failed, Misused, command, explain, say, show, table
from workers.people import all_agents, person

#: Characters of a payload that are shown before it is sent again.
SHOWN = 1000


@command("held")
def held(*, json_: bool) -> None:
    """List every key that waits for a person, or for a look-up at its provider."""
    ledger = Ledger()
    found = [entry for agent in all_agents() for entry in ledger.held(agent)]
    rows = [(entry["key"], entry["state"], entry["since"], entry["why"]) for entry in found]
    show(json_, found, table(rows) or "nothing is held")


@command("approve")
@click.argument("key")
@click.option("--why", default="approved", show_default=True, help="What to tell the next person who looks.")
def approve(key: str, why: str, *, json_: bool) -> None:
    """Let KEY run, which was held before anything of it was sent."""
    _say(key, Resolution("approve", person(), clean(why)), json_=json_)


@command("resolve")
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
    """Say what became of KEY, whose outcome nobody else can tell: one of --applied, --not-applied and --cancel."""
    how = _one_of(applied=applied, not_applied=not_applied, cancel=cancel)
    _check_options(how, result=result, force=force, yes=yes)
    word = Resolution(how, person(), clean(why), _checked(result or "null"), force)
    if how == "not-applied" and not yes and sys.stdin.isatty():
        _ask_before_sending(key)
    _say(key, word, json_=json_)


def _one_of(**said: bool) -> How:
    """The one word that was said; contradictory words say nothing."""
    words = [name.replace("_", "-") for name, is_said in said.items() if is_said]
    if not words:
        raise Misused("say what became of it: --applied, --not-applied or --cancel")
    if len(words) > 1:
        raise Misused(f"--{' and --'.join(words)} contradict each other; say exactly one of them")
    return cast("How", words[0])


def _check_options(how: How, *, result: str | None, force: bool, yes: bool) -> None:
    """Fail for an option that belongs to another word: whoever wrote it meant something else."""
    given = {
        "--result": (result is not None, "applied"),
        "--force": (force, "not-applied"),
        "--yes": (yes, "not-applied"),
    }
    for option, (is_given, belongs_to) in given.items():
        if is_given and how != belongs_to:
            raise Misused(f"{option} belongs to --{belongs_to}, and you say --{how}; remove one of them")


def _ask_before_sending(key: str) -> None:
    """Show what goes out, and stop unless the person at the terminal agrees."""
    told = _known(key)
    payload = json.dumps(told.get("payload"), ensure_ascii=False)
    shown = payload[:SHOWN] + (f"… ({len(payload)} characters)" if len(payload) > SHOWN else "")
    say(f"{one_line(told['key'])} is {told['state']}. It will be sent with this payload:\n{shown}", err=True)
    if not click.confirm("Are you sure that it is not out there, and shall it be sent?", err=True):
        raise Failed(f"{told['key']} is left as it is: nothing was said, nothing is sent")


def _known(key: str) -> dict[str, Any]:
    told = history.read_history(all_agents(), key)
    if told is None:
        raise Failed(f"no key {key!r} is known; see: celery -A workers gate held")
    return told


def _say(key: str, word: Resolution, *, json_: bool) -> None:
    told = _known(key)
    agent, key = told["agent"], told["key"]
    try:
        state = Ledger().resolve(agent, key, word)
    except NotResolved as error:
        raise Failed(str(error)) from None
    state_file.write(agent)
    answer: dict[str, Any] = {"key": key, "agent": agent, "state": state, "by": word.by, "why": word.why}
    show(json_, answer, f"{one_line(key)} is {state} now; see: {explain(key)}")


def _checked(text: str) -> str:
    try:
        return json.dumps(strict_json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        raise Misused(f'--result {text[:SHOWN]!r} is not JSON; write for example --result \'{{"id": "42"}}\'') from None


commands = (held, approve, decide)
