"""`gate held`, `gate approve` and `gate resolve`: what waits for a person, and the person's word."""

from __future__ import annotations

import json
from typing import Any

import click

from gatekeeper.redact import clean
from state import journal, mirror, resolve, store, story
from state.resolve import How, NotResolved, Word
from workers.gate.output import Failed, all_agents, command, person, show, table


@command("held")
def held(*, json_: bool) -> None:
    """List every key that waits for a person, or for a look-up at its provider."""
    found = [entry for agent in all_agents() for entry in resolve.held(store.client(), agent)]
    rows = [(entry["key"], entry["state"], entry["since"], entry["why"]) for entry in found]
    show(json_, found, table(rows) or "nothing is held")


@command("approve")
@click.argument("key")
@click.option("--why", default="approved", show_default=True, help="What to tell the next person who looks.")
def approve(key: str, why: str, *, json_: bool) -> None:
    """Let KEY run, which was held before anything of it was sent."""
    _say(key, Word("approve", person(), clean(why)), json_=json_)


@command("resolve")
@click.argument("key")
@click.option("--applied", "how", flag_value="applied", help="It is out there: never send it again.")
@click.option("--not-applied", "how", flag_value="not-applied", help="It is not out there: send it.")
@click.option("--cancel", "how", flag_value="cancel", help="Whatever became of it: never send it.")
@click.option("--why", required=True, help="How you know; the next person who looks will read it.")
@click.option("--result", default="null", help="JSON to answer when the key is asked for again, with --applied.")
@click.option("--force", is_flag=True, help="Although the process that was sending it may be alive.")
def decide(how: How | None, key: str, why: str, result: str, *, force: bool, json_: bool) -> None:
    """Say what became of KEY, whose outcome nobody else can tell."""
    if how is None:
        raise Failed("say what became of it: --applied, --not-applied or --cancel")
    _say(key, Word(how, person(), clean(why), _checked(result), force), json_=json_)


def _say(key: str, word: Word, *, json_: bool) -> None:
    told = story.tell(store.client(), all_agents(), key)
    if told is None:
        raise Failed(f"no key {key!r} is known; see: celery -A workers gate held")
    agent, key = told["agent"], told["key"]
    try:
        state = resolve.resolve(store.client(), journal.current(), agent, key, word)
    except NotResolved as error:
        raise Failed(str(error)) from None
    mirror.write(store.client(), agent)
    answer: dict[str, Any] = {"key": key, "agent": agent, "state": state, "by": word.by, "why": word.why}
    show(json_, answer, f"{key} is {state} now; see: celery -A workers gate explain '{key}'")


def _checked(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        raise Failed(f'--result {text!r} is no JSON; write for example --result \'{{"id": "42"}}\'') from None


commands = (held, approve, decide)
