"""The three sentences of `gatehouse explain`: each state of a key and of a call gets its own, with a command to paste."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from state import hints
from workers.commands import explain, sentences
from workers.commands.case import Case

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
AT = "2026-11-22T11:57:00Z"
KEY, CALL = "publish:feed:a post", "0b83d839"
STATES = {"queued", "claimed", "sending", "done", "waiting", "unknown", "held", "rejected", "cancelled"}
STAGES = {
    "rate",
    "cap",
    "budget",
    "breaker",
    "paused",
    "line",
    "ledger",
    "age",
    "key",
    "input",
    "service",
    "chain",
    "task",
    "verify",
}


class Row(NamedTuple):
    """One situation, and what its sentences must have: did it happen, why, what now, and the commands."""

    name: str
    case: Case
    happened: str
    why: str
    now: str
    commands: tuple[str, ...] = ()


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {"at": AT, "event": name, **fields}


def record(state: str, *story: dict[str, Any], **fields: Any) -> dict[str, Any]:
    kept = {
        "key": KEY,
        "agent": "publisher",
        "task": "tasks.publisher.publish",
        "call": CALL,
        "attempts": 1,
        "result": None,
    }
    return {**kept, "state": state, "story": list(story), **fields}


def case(state: str, *story: dict[str, Any], **given: Any) -> Case:
    own = {
        name: given.pop(name) for name in ("answer", "has_effect", "can_look_up", "workers", "pause") if name in given
    }
    return Case(record(state, *story, **given), NOW, **own)


def waits(**answer: Any) -> Case:
    return case("waiting", event("deferred"), answer=answer, waits={"until": "2026-11-22T12:02:00Z"})


def refused(**answer: Any) -> Case:
    return case("rejected", event("refused", **answer), answer=answer)


PAUSE = {"by": "ann", "at": AT, "why": "looking"}
DONE = event("done", attempt=1)
SENDING = event("sending")
RESOLVE = (f"resolve '{KEY}' --applied", f"resolve '{KEY}' --not-applied")
REPLAY = (f"replay {CALL}",)

ROWS = [
    # done
    Row("done with an address", case("done", DONE, result={"url": "https://a.b/c"}), "Yes.*3 min ago: https://a.b/c", "first attempt was confirmed", "Nothing"),
    Row("done with an id", case("done", DONE, result={"id": "42"}, attempts=3), "Yes.*42", "Attempt 3 was confirmed", "Nothing"),
    Row("done without an effect", case("done", DONE, has_effect=False), "Yes, ", "returned a result", "Nothing"),
    Row("done, found by a look-up", case("done", event("verify", outcome="found"), DONE), "Yes", "look-up found it", "Nothing"),
    Row("done, as a person said", case("done", event("resolved", by="ann", why="I see it")), "Yes", "ann said that it is out there: I see it", "Nothing"),
    Row("done, restored without a history", case("done"), "Yes", "history is not kept", "Nothing"),
    Row("done with a flaw", case("done", DONE, flaw={"error": "a later step failed", "detail": "no disk"}), "Yes.*cannot be used", "a later step failed: no disk", "Look at what is out there", ("explain",)),
    Row("done with a flaw, undone", case("done", DONE, flaw={"error": "output validation failed", "undo": "done"}), "Yes", "The undo: done", "not sent again", ("explain",)),
    Row("replayed", case("done", DONE, event("replayed", call=CALL), door="cli", result={"url": "https://a.b/c"}), "Yes, posted once, by an earlier call.*https", "replayed", "Nothing: one key", (f"explain '{KEY}'",)),
    # queued
    Row("queued", case("queued", {**event("registered"), "at": "2026-11-22T11:59:58Z"}), "No, not yet", "waits for a worker since", "Nothing"),
    Row("queued for long", case("queued", event("registered")), "No, not yet", "no worker took it", "what the workers do", ("doctor",)),
    Row("queued, no worker runs", case("queued", event("registered"), workers=0), "No", "No worker runs", "Start", ("make up",)),
    Row("queued, paused", case("queued", event("registered"), pause=PAUSE), "No", "paused by ann.*looking", "run again", ("resume publisher",)),
    Row("queued again, its worker died", case("queued", {**event("queued", why="its worker died"), "at": "2026-11-22T11:59:58Z"}), "No", "its worker died before its effect", "Nothing"),
    # waiting
    Row("waiting for a rate", waits(stage="rate", error="rate limited", rule="10/hour"), "No, not yet", "rate limited: 10/hour", "by itself at.*in 2 min"),
    Row("waiting for a cap", waits(stage="cap", error="cap reached", rule="30/day", count=30), "No", "cap reached: 30/day.*30", "room again", ("resume publisher",)),
    Row("waiting for a budget", waits(stage="budget", error="budget used up", rule="200000 tokens/day", tokens=200345), "No", "budget used up: 200000 tokens/day.*200,345 tokens", "room again.*raise budget="),
    Row("waiting for a breaker", waits(stage="breaker", error="breaker open", rule="3 failures", failures=3), "No", "breaker open: 3 attempts", "by itself", ("doctor",)),
    Row("waiting for the end of a pause", waits(stage="paused", error="paused", by="ann", why="looking"), "No", "paused by ann: looking", "run again", ("resume publisher",)),
    Row("stopped by a pause before the effect", waits(stage="line", error="paused", detail="paused by ann"), "No", "paused: paused by ann", "run again", ("resume publisher",)),
    Row("effects closed", waits(stage="ledger", error="effects are closed", why="Redis lost its data"), "No", "effects are closed: Redis lost", "Redis learn", ("recover", "doctor")),
    Row("service away", waits(stage="service", error="503 Service Unavailable"), "No", "service is away: 503", "tried again by itself"),
    Row("proven absent", waits(stage="verify", error="proven absent"), "No", "proven absent", "by itself"),
    Row("waiting after a failure", case("waiting", event("failed", error="boom", attempt=1)), "No", "Attempt 1 failed: boom", "tried again.*stop it", (f"control revoke {CALL}",)),
    Row("asked for later", case("waiting", event("registered"), waits={"until": "2026-11-22T14:00:00Z"}), "No, not yet", "asked for later", "starts at.*in 2 h", ("control revoke",)),
    Row("looked up and absent", case("waiting", event("waiting", why="proven absent")), "No", "look-ups proved", "sent again", ("control revoke",)),
    Row("run again by a person", case("waiting", event("resolved", by="ann", why="not there")), "No", "ann let it run again: not there", "it runs", ("control revoke",)),
    Row("replay by a person", case("waiting", event("replayed by a person", by="ann")), "No", "ann let it run again", "it runs", ("control revoke",)),
    Row("waiting without a worker", case("waiting", event("failed", error="boom"), workers=0), "No", "boom.*No worker runs", "Start", ("make up",)),
    Row("waiting for a rate in a pause", case("waiting", pause=PAUSE, answer={"stage": "rate", "rule": "1/day"}), "No.*1/day", "paused by ann", "run again", ("resume publisher",)),
    # running
    Row("claimed", case("claimed", event("claimed", owner="vm-1")), "No, not yet", "Attempt 1 runs since.*vm-1; nothing was sent", "another one takes it"),
    Row("sending", case("sending", event("claimed", owner="vm-1"), SENDING), "Perhaps", "Attempt 1 runs", "Wait", (f"explain '{KEY}'",)),
    # in doubt
    Row("unknown with look-ups", case("unknown", SENDING, event("unknown", next_look=600), why="it hung up", can_look_up=True), "Not known: it was sent", "it hung up", "looked up by itself, next at.*in 7 min", RESOLVE),
    Row("unknown without look-ups", case("unknown", SENDING, why="it hung up"), "Not known", "it hung up", "Look whether", RESOLVE),
    Row("held in doubt", case("held", SENDING, event("held"), why="20 look-ups", payload={"a": 1}), "Not known", "20 look-ups", "Look whether", RESOLVE),
    Row("held before anything was sent", case("held", event("held", why="its worker died, 3 times: poison")), "No: it is held", "poison", "let it run", (f"approve '{KEY}'", "--cancel")),
    # refused
    Row("refused by a rate", refused(stage="rate", error="rate limited", rule="10/hour", retry_after=360), "No$", "rate limited: 10/hour", "run it again in 6 min", REPLAY),
    Row("refused by a rate for too long", refused(stage="rate", error="rate limited for too long", rule="10/hour"), "No$", "used up for too long", "again later", REPLAY),
    Row("refused by a cap", refused(stage="cap", error="cap reached", rule="2/day", count=2), "No$", "cap reached: 2/day", "again later", REPLAY),
    Row("refused by a budget", refused(stage="budget", error="budget used up", rule="9 tokens/day", tokens=12, retry_after=360), "No$", "budget used up: 9 tokens/day", "again in 6 min", REPLAY),
    Row("refused by a breaker", refused(stage="breaker", error="breaker open", rule="3 failures", failures=3), "No$", "breaker open", "run it again", REPLAY),
    Row("refused by a pause", refused(stage="paused", error="paused", by="ann", why="looking"), "No$", "paused by ann: looking", "agent run again", ("resume publisher", *REPLAY)),
    Row("expired", refused(stage="age", error="expired", age=7200), "No$", "expired after 2 h", "too late", REPLAY),
    Row("too old, its service was away", refused(stage="age", error="too old", age=90000, why="503"), "No$", "too old after 25 h: 503", "too late", REPLAY),
    Row("another call at work", refused(stage="key", error="in progress", holder="other"), "No$", "in progress.*another call of its key", "the call that has the key", ("explain other",)),
    Row("key with other arguments", refused(stage="key", error="mismatch: this key was used with other arguments", holder="other"), "No$", "other arguments", "has the key", ("explain other",)),
    Row("key in doubt", refused(stage="key", error="outcome unknown", holder="other", why="hung up"), "No$", "in doubt: hung up", "has the key", ("explain other",)),
    Row("wrong arguments", refused(stage="input", error="invalid arguments", detail="a: missing"), "No$", "do not fit.*a: missing", "Correct the arguments"),
    Row("chain broken", refused(stage="chain", error="the call before it gave no result", before="first", state="rejected"), "No$", "call first is rejected", "call before", ("explain first",)),
    Row("effects closed for good", refused(stage="ledger", error="effects are closed", why="lost"), "No$", "effects are closed: lost", "cause", REPLAY),
    Row("rung too low", refused(stage="line", error="rung too low", detail="made by raw"), "No$", "rung too low: made by raw", "cause", REPLAY),
    Row("the task refused", refused(stage="task", error="no post 'x'"), "No$", "no post 'x'", "cause", REPLAY),
    Row("attempts used up", case("rejected", event("failed", error="boom")), "No$", "boom", "cause", REPLAY),
    Row("wrong token", case("rejected", answer={"stage": "task", "error": "401; change MASTODON_TOKEN: no"}), "No$", "401", "Change MASTODON_TOKEN: no. Restart the system.*Then run it again", REPLAY),
    Row("what was sent is refused", case("rejected", answer={"stage": "task", "error": "422; change what is sent: no"}), "No$", "422", "Change what is sent: no. Then run it again", REPLAY),
    Row("rejected, without its call", case("rejected"), "No$", "It was refused", "cause", REPLAY),
    # ended by a person
    Row("revoked", case("cancelled", event("cancelled", by="ann")), "No, and it will not be", "ann cancelled it", "run it after all", ("--not-applied",)),
    Row("cancelled in doubt", case("cancelled", SENDING, event("resolved", by="ann", why="too old")), "Not known", "ann cancelled it.*: too old", "run it after all", ("--not-applied",)),
    Row("revoked, without an effect", case("cancelled", event("cancelled", by="ann"), has_effect=False), "No, and it will not run", "ann", "after all", ("--not-applied",)),
    # what no version of today writes
    Row("a state of another version", case("paused"), "Not known", "paused", "record", ("--json",)),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_situation_is_told_in_three_sentences(row: Row) -> None:
    told = sentences.about(row.case)

    for pattern, text in ((row.happened, told.happened), (row.why, told.why), (row.now, told.now)):
        assert re.search(pattern, text), (pattern, text)
        assert "None" not in text
        assert "  " not in text
    assert len(told.commands) == len(row.commands), told.commands
    for part, command in zip(row.commands, told.commands, strict=True):
        assert part in command
        assert shlex.split(command)
        assert command.startswith((hints.gatehouse(), hints.celery(), "make up"))


def test_every_state_and_every_stage_is_in_the_table() -> None:
    stages = {row.case.answer.get("stage", "") for row in ROWS}

    assert {row.case.state for row in ROWS} >= STATES
    assert stages >= STAGES


@pytest.mark.parametrize(("has_effect", "question"), [(True, "Posted?"), (False, "Done?")])
def test_the_first_question_fits_the_task(has_effect: bool, question: str) -> None:
    assert sentences.question(case("done", has_effect=has_effect)) == question


@pytest.mark.parametrize(
    ("happened", "words"),
    [
        (event("http", method="POST", url="http://127.0.0.1/a", outcome="applied", status=200), "POST http://127.0.0.1/a: 200, applied"),
        (event("http", method="POST", url="http://127.0.0.1/a", outcome="unknown", error="reset"), "POST http://127.0.0.1/a: reset, unknown"),
        (event("done", attempt=2, ms=41), "attempt 2 took 41 ms"),
        (event("done", attempt=2, ms=0), "attempt 2 took less than 1 ms"),
        (event("done", attempt=2, ms=5400), "attempt 2 took 5 s"),
        (event("recovery point") | {"name": "draft", "value": "a whole post"}, "name=draft"),
    ],
)  # fmt: skip
def test_the_history_is_told_without_the_fields_of_the_record(happened: dict[str, Any], words: str) -> None:
    assert explain._row(happened, NOW)[-1] == words
