"""Three sentences about one key or call: whether it happened, why, and what to do now."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from state import hints
from state.decision import refusal_text
from workers.commands import refusals, times
from workers.commands.case import Case, Told

NOTHING = "Nothing"
#: Characters of a result that has neither an address nor an id.
MAX_RESULT = 60
#: Seconds after which a call that waits for a worker is late.
LATE = 60.0


def about(case: Case) -> Told:
    """Return the three sentences for a key or a call in any state."""
    if case.state == "done" and case.record.get("door") and _was_replayed(case):
        return _replayed(case)
    return _BY_STATE.get(case.state, _other)(case)


def question(case: Case) -> str:
    """Return what the first sentence answers."""
    return "Posted?" if case.has_effect else "Done?"


def _was_replayed(case: Case) -> bool:
    return any(each["event"] == "replayed" and each.get("call") == case.record.get("call") for each in case.story)


def _replayed(case: Case) -> Told:
    first = case.newest("done", "resolved")
    again = "posted once, by an earlier call" if case.has_effect else "an earlier call did it"
    return Told(
        f"Yes, {again}, {case.when(first.get('at'))}: {_result(case)}".rstrip(": ,"),
        f"The key {case.key} was done already, so this call was answered with that result (replayed) and ran nothing",
        f"{NOTHING}: one key has one effect. Something new needs another key",
        (hints.gatehouse("explain", case.key),),
    )


def _done(case: Case) -> Told:
    done, flaw = case.newest("done", "resolved"), case.record.get("flaw")
    happened = f"Yes, {case.when(done.get('at'))}: {_result(case)}".replace(", :", ":").rstrip(": ,")
    if flaw:
        detail = f": {flaw['detail']}" if flaw.get("detail") else ""
        undone = f". The undo: {flaw['undo']}" if flaw.get("undo") else ""
        return Told(
            f"{happened}. But its result cannot be used",
            f"{flaw.get('error')}{detail}{undone}",
            f"Look at what is out there{_after_the_flaw(case)}; it is not sent again",
            (hints.gatehouse("explain", case.key, "--verbose"),),
        )
    return Told(happened, _proof(case, done), f"{NOTHING}: a call of this key again is answered with this result")


def _after_the_flaw(case: Case) -> str:
    return ", and correct it there" if case.has_effect else ""


def _proof(case: Case, done: dict[str, Any]) -> str:
    if done.get("event") == "resolved":
        return f"{done.get('by')} said that it is out there: {done.get('why')}"
    if case.newest("verify").get("outcome") == "found":
        return "The answer was lost, and a look-up found it there"
    if not case.story or not done:
        return "Its record says so; its history is not kept any more"
    attempts = _attempts(case)
    return f"{attempts} was confirmed by the destination" if case.has_effect else f"{attempts} returned a result"


def _attempts(case: Case) -> str:
    return "The first attempt" if case.attempts <= 1 else f"Attempt {case.attempts}"


def _result(case: Case) -> str:
    """Return the address or the id of a result, or a short form of it."""
    result = case.record.get("result")
    if isinstance(result, dict):
        known = result.get("url") or result.get("id")
        if known:
            return str(known)
    text = "" if result in (None, {}, []) else json.dumps(result, ensure_ascii=False)
    return text if len(text) <= MAX_RESULT else f"{text[:MAX_RESULT]}…"


def _queued(case: Case) -> Told:
    since = case.newest("registered", "arrived", "queued", "replayed by a person")
    lost = case.newest("queued").get("why") if since.get("event") == "queued" else None
    why = (
        f"{lost} before its effect, so it starts again"
        if lost
        else f"It waits for a worker since {case.when(since.get('at'))}"
    )
    if case.pause:
        return _paused(case, "No, not yet")
    if not case.workers:
        return Told("No, not yet", f"No worker runs. {why}", "Start the system", ("make up",))
    waited = (case.now - times.parsed(since["at"])).total_seconds() if since else 0
    if waited > LATE:
        return Told(
            "No, not yet", f"{why}, and no worker took it", "See what the workers do", (hints.gatehouse("doctor"),)
        )
    return Told("No, not yet", why, f"{NOTHING}: a worker takes it by itself")


def _paused(case: Case, happened: str) -> Told:
    pause = case.pause or {}
    agent = case.record["agent"]
    what = pause.get("task", agent)  # a cap pauses the calls that it counts
    why = f"{what} is paused by {pause.get('by')} since {case.when(pause.get('at'))}: {pause.get('why')}"
    return Told(happened, why, "Let it run again when the reason is gone", (hints.gatehouse("resume", agent),))


def _waiting(case: Case) -> Told:
    until = (case.record.get("waits") or {}).get("until")
    due = f" at {case.when(until)}" if until else ""
    stage = case.answer.get("stage")
    if stage:
        why = refusals.why(case.answer)
        now, commands = refusals.while_it_waits(case.answer, case.record["agent"])
        if case.pause and stage not in {"paused", "line"}:
            return _paused(case, f"No, not yet. {why}")
        return Told("No, not yet", why, now or f"{NOTHING}: it is tried again by itself{due}", commands)
    if case.pause:
        return _paused(case, "No, not yet")
    stop = hints.celery("control", "revoke", case.call)
    why, last = _why_it_waits(case)
    if not case.workers:
        return Told("No, not yet", f"{why}. No worker runs", "Start the system", ("make up",))
    return Told("No, not yet", why, f"{NOTHING}: {last}{due} by itself. To stop it instead:", (stop,))


def _why_it_waits(case: Case) -> tuple[str, str]:
    """Return why a call without a receipt waits, and what happens next."""
    newest = case.newest("failed", "resolved", "replayed by a person", "waiting", "registered")
    match newest:
        case {"event": "failed"}:
            return f"Attempt {newest.get('attempt', '')} failed: {newest.get('error')}".replace(
                "  ", " "
            ), "it is tried again"
        case {"event": "resolved" | "replayed by a person"}:
            said = f": {newest['why']}" if newest.get("why") else ""
            return f"{newest.get('by')} let it run again{said}", "it runs"
        case {"event": "waiting", "why": "proven absent"}:
            return "It was in doubt, and look-ups proved that it is not out there", "it is sent again"
    return "It was asked for later", "it starts"


def _running(case: Case) -> Told:
    claimed = case.newest("claimed")
    owner = f", by {claimed['owner']}" if claimed.get("owner") else ""
    why = f"Attempt {case.attempts or 1} runs since {case.when(claimed.get('at'))}{owner}"
    if case.state == "sending":
        return Told(
            "Perhaps: it is being sent now",
            why,
            "Wait for its outcome, and look again",
            (hints.gatehouse("explain", case.key),),
        )
    now = f"{NOTHING}: if its worker dies, another one takes it"
    return Told("No, not yet", f"{why}; nothing was sent so far" if case.has_effect else why, now)


def _unknown(case: Case) -> Told:
    sent = case.newest("sending")
    happened = f"Not known: it was sent {case.when(sent.get('at'))}, and no trustworthy answer came".replace(
        "sent ,", "sent,"
    )
    look = case.newest("unknown")
    why = str(case.record.get("why") or look.get("why") or "")
    if case.can_look_up:
        due = _next_look(look)
        next_look = f", next at {case.when(due)}" if due else ""
        now = f"{NOTHING}: it is looked up by itself{next_look}. If you looked, say what you saw:"
    else:
        now = "Look whether it is out there, and say what you saw:"
    return Told(happened, why, now, _resolutions(case.key))


def _next_look(look: dict[str, Any]) -> str | None:
    if "next_look" not in look:
        return None
    return (times.parsed(look["at"]) + timedelta(seconds=float(look["next_look"]))).isoformat()


def _resolutions(key: str) -> tuple[str, ...]:
    return (
        hints.gatehouse("resolve", key, "--applied", "--why", "it is there"),
        hints.gatehouse("resolve", key, "--not-applied", "--why", "it is not there"),
    )


def _held(case: Case) -> Told:
    why = str(case.record.get("why") or case.newest("held").get("why") or "")
    cancel = hints.gatehouse("resolve", case.key, "--cancel", "--why", "…")
    if case.record.get("approval"):
        return _asks(case, cancel)
    if case.record.get("payload") is None and not case.newest("sending"):
        return Told(
            "No: it is held before anything was sent", why, "See what went wrong, and let it run, or end it:",
            (hints.gatehouse("approve", case.key), cancel),
        )  # fmt: skip
    return Told(
        "Not known: it was sent, and a person has to look", why,
        "Look whether it is out there, and say what you saw:", _resolutions(case.key),
    )  # fmt: skip


def _asks(case: Case, reject: str) -> Told:
    asked = case.record["approval"]
    return Told(
        "No, not yet: it waits for your approval",
        f"{case.record['agent']} asks before it sends. Asked {case.when(asked['asked_at'])}; "
        f"if nobody decides, it ends {case.when(asked['expires'])} without being sent",
        f"Read what it would send (payload {asked['digest']}), and let it be sent, or say no:",
        (hints.gatehouse("approve", case.key), reject),
    )


def _rejected(case: Case) -> Told:
    answer = case.answer or _as_answer(case.newest("refused", "failed"))
    why = refusals.why(answer) if answer else str(case.record.get("why") or "It was refused")
    now, commands = refusals.after_the_end(answer, case.call, case.record["agent"])
    return Told("No", why, now, commands)


def _as_answer(event: dict[str, Any]) -> dict[str, Any]:
    return {"stage": "task", **event} if event else {}


def _cancelled(case: Case) -> Told:
    told = case.newest("resolved", "cancelled")
    by = told.get("by") or case.answer.get("by") or "a person"
    why = told.get("why") or case.answer.get("why")
    sent = case.newest("sending")
    happened = "Not known: it had been sent before it was cancelled" if sent else "No, and it will not be"
    again = hints.gatehouse("resolve", case.key, "--not-applied", "--why", "…")
    return Told(
        happened if case.has_effect else "No, and it will not run",
        f"{by} cancelled it {case.when(told.get('at'))}{': ' if why else ''}{why or ''}".rstrip(),
        f"{NOTHING}. To run it after all:", (again,),
    )  # fmt: skip


def _other(case: Case) -> Told:
    why = refusal_text(case.answer) if case.answer else f"Its state is {case.state}"
    return Told("Not known", why, "See its whole record:", (hints.gatehouse("explain", case.key, "--json"),))


_BY_STATE: dict[str, Callable[[Case], Told]] = {
    "queued": _queued,
    "waiting": _waiting,
    "claimed": _running,
    "sending": _running,
    "done": _done,
    "unknown": _unknown,
    "held": _held,
    "rejected": _rejected,
    "cancelled": _cancelled,
}
