"""`gate explain`: what became of one key, call or post, why, and what to do now; then its history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from gatekeeper.policies.spec import registered
from state.agents import history
from state.agents import pause as pauses
from state.agents.snapshot import snapshot
from state.processes import liveness
from workers.commands import finding, posts, sentences, story, times
from workers.commands.case import Case, Told
from workers.commands.output import command, plain, show, table
from workers.commands.paint import paint, width, wrapped
from workers.people import all_agents, note_that_somebody_looks

#: Fields that are printed below the history with `--verbose`.
_FOOTER = ("result", "flaw", "why", "waits", "answer")
#: How each state looks.
_STYLES = {"done": "good", "unknown": "bad", "held": "bad", "rejected": "bad"}


@command("explain", "explain publish:feed:hello", "explain hello", "explain 0b83d839 --verbose")
@click.argument("key")
@click.option("--verbose", is_flag=True, help="Show every field of each event, with times in UTC.")
def explain(key: str, *, verbose: bool, json_: bool) -> None:
    """Show what became of KEY, why, and what to do now.

    KEY is a key, a call, a post, or the beginning of one that only one has.
    """
    note_that_somebody_looks(json_=json_)
    records = finding.records(all_agents(), key)
    if not records:
        post = posts.find(key)
        if post is None:
            raise finding.unknown(all_agents(), key)
        show(json_, post.as_json(), "\n".join(_sentences(post.told(), "Posted?", post.id, post.state)))
        return
    value = records[0] if len(records) == 1 else {"post": key, "keys": records}
    show(json_, value, "\n\n".join(_text(record, verbose=verbose, whole=len(records) == 1) for record in records))


def _text(record: dict[str, Any], *, verbose: bool, whole: bool) -> str:
    """Return the three sentences, and with `whole` the history below them."""
    footer = [f"{name}: {json.dumps(record[name], ensure_ascii=False)}" for name in _FOOTER if record.get(name)]
    case = case_of(record := plain(record))
    flaw = ", but " + record["flaw"]["error"] if record.get("flaw") else ""
    attempts = "1 attempt" if case.attempts == 1 else f"{case.attempts} attempts"
    state = f"{record['state'].upper()}{flaw}  ({record['task']}, {attempts})"
    lines = list(
        _sentences(sentences.about(case), sentences.question(case), case.key if record["key"] else case.call, state)
    )
    if whole:
        rows = (
            [_raw(event) for event in record["story"]] if verbose else [_row(event, case.now) for event in case.story]
        )
        lines += ["", *table(rows).splitlines(), *(footer if verbose else [])]
    return "\n".join(lines)


def _sentences(told: Told, question: str, name: str, state: str) -> Iterator[str]:
    style = _STYLES.get(state.split(",", maxsplit=1)[0].split("  ", maxsplit=1)[0].lower(), "warn")
    yield f"{paint(name, 'strong')}  {paint(state, style)}"
    answers = ((question, told.happened), ("Why?", told.why), ("What now?", told.now))
    for asked, answer in answers:
        yield from wrapped(sentence(answer), 11, paint(asked, "strong"))
    for each in told.commands:
        yield f"{'' if (width() or 120) - 11 < len(each) else ' ' * 11}{paint(each, 'good')}"


def sentence(text: str) -> str:
    """Return an answer as a sentence: with a capital, unless it begins with a name, and a full stop."""
    text = text.strip() or "nothing is recorded of it"
    if text.partition(" ")[0].strip(":,").isalpha():  # a name stays as it is written
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", ":", "?", "…")) or "http" in text.rsplit(maxsplit=1)[-1] else f"{text}."


def case_of(record: dict[str, Any]) -> Case:
    """Return a record with what its sentences need besides; reads Redis."""
    spec, agent = registered().get(record.get("task") or ""), record["agent"]
    is_open = record["state"] in {"queued", "waiting"}
    call = record.get("call")
    own = record if "answer" in record else (call and history.of_call(agent, call)) or {}
    return Case(
        record,
        datetime.now(UTC),
        answer=plain(own.get("answer") or {}),
        has_effect=spec.effect is not None if spec else record.get("payload") is not None,
        can_look_up=bool(spec and spec.verify),
        workers=len(liveness.current().of("worker")) if is_open else 1,
        pause=plain(pauses.of_task(snapshot(agent).head["pause"], record.get("task") or "")) if is_open else None,
    )


def _row(event: dict[str, Any], now: datetime) -> tuple[str, ...]:
    return times.clock(event["at"], now), times.ago(event["at"], now), event["event"], story.words(event)


def _raw(event: dict[str, Any]) -> tuple[str, ...]:
    first = [name for name in ("stage", "error", "door", "attempt") if name in event]
    names = [*first, *(name for name in event if name not in {"at", "event", *first})]
    return event["at"], event["event"], "  ".join(f"{name}={event[name]}" for name in names)


commands = (explain,)
