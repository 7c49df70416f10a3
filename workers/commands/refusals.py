"""Receipts of calls that wait or were refused, in words for a person: why, and what to do now."""

from __future__ import annotations

import re
from typing import Any

from state import hints
from state.decision import refusal_text
from workers.commands import times

Receipt = dict[str, Any]
#: What begins with the name of a setting.
_SETTING = re.compile(r"[A-Z]+_[A-Z_]+\b")
#: What to do, and the commands for it.
Advice = tuple[str, tuple[str, ...]]


def why(receipt: Receipt) -> str:
    """Return why a call waits, why it was refused, or why its attempts ended without a result."""
    return _BY_STAGE.get(str(receipt.get("stage")), _any)(receipt)


def while_it_waits(receipt: Receipt, agent: str) -> Advice:
    """Return what a person can do about a call that waits; empty if it goes on by itself."""
    advice: Advice = "", ()
    resume = hints.gatehouse("resume", agent)
    match receipt.get("stage"):
        case "paused" | "line":
            advice = "Let the agent run again when the reason is gone", (resume,)
        case "breaker":
            now = "Nothing: it is tried again by itself. If its service stays away, see why"
            advice = now, (hints.gatehouse("doctor"),)
        case "autonomy":
            advice = "Let the agent send again", (hints.gatehouse("autonomy", agent, "act", "--why", "…"),)
        case "cap":
            advice = "Nothing: it goes on when the cap has room again. To let it go on now", (resume,)
        case "budget":
            now = "Nothing: it goes on when the budget has room again. To let it go on sooner"
            advice = f"{now}, raise budget= in the task and restart", ()
        case "ledger":
            commands = hints.gatehouse("recover"), hints.gatehouse("doctor")
            advice = "Let Redis learn what the journal knows; if that is not the reason, see what is", commands
    return advice


def after_the_end(receipt: Receipt, call: str, agent: str) -> Advice:
    """Return what a person can do about a call that was refused or failed."""
    again = hints.gatehouse("replay", call)
    change = str(receipt.get("error", "")).partition("; change ")[2]
    restart = " Restart the system, which reads its settings when it starts." if _SETTING.match(change) else ""
    now = f"Change {change}.{restart} Then run it again:" if change else "See to the cause, and run it again:"
    advice: Advice = now, (again,)
    match receipt:
        case {"stage": "key", "holder": holder}:
            advice = "See what the call that has the key does", (hints.gatehouse("explain", str(holder)),)
        case {"stage": "key"}:
            advice = "Nothing: the call that has the key goes on", ()
        case {"stage": "input"}:
            advice = "Correct the arguments, and make a new call", ()
        case {"stage": "chain", "before": before}:
            advice = "See why the call before it gave no result", (hints.gatehouse("explain", str(before)),)
        case {"stage": "paused"} | {"stage": "line", "error": "paused"}:
            advice = "Let the agent run again, and then run the call again", (hints.gatehouse("resume", agent), again)
        case {"stage": "rate" | "cap" | "budget" | "breaker"}:
            after = f" in {times.span(float(receipt['retry_after']))}" if receipt.get("retry_after") else " later"
            advice = f"Nothing, if its caller asks again; otherwise run it again{after}:", (again,)
        case {"stage": "autonomy"}:
            act = hints.gatehouse("autonomy", agent, "act", "--why", "…")
            advice = "Let the agent act, and then run the call again:", (act, again)
        case {"stage": "approval"}:
            advice = "Nothing, if it is too late for it; otherwise ask again:", (again,)
        case {"stage": "age"}:
            advice = "Nothing, if it is too late for it; otherwise run it again:", (again,)
    return advice


def _rate(receipt: Receipt) -> str:
    return f"rate limited: {receipt.get('rule')} is used up" + (
        " for too long" if "too long" in str(receipt.get("error")) else ""
    )


def _cap(receipt: Receipt) -> str:
    return f"cap reached: {receipt.get('rule')} allows no more ({receipt.get('count')} in that time)"


def _budget(receipt: Receipt) -> str:
    return f"budget used up: {receipt.get('rule')} allows no more ({receipt.get('tokens', 0):,} tokens in that time)"


def _breaker(receipt: Receipt) -> str:
    return f"{receipt.get('error')}: {receipt.get('failures')} attempts in a row failed (opens after {receipt.get('rule')})"


def _paused(receipt: Receipt) -> str:
    by, why = receipt.get("by"), receipt.get("why") or receipt.get("detail") or ""
    if receipt.get("stage") == "line" and receipt.get("error") != "paused":
        return f"{receipt.get('error')}: {receipt.get('detail', '')}"
    if by == "cap":
        return f"Its cap was reached, so a person has to look first: {why}"
    return f"The agent was paused by {by}: {why}" if by else f"The agent was paused: {why}"


def _autonomy(_: Receipt) -> str:
    return "The agent only observes: nothing was sent, and the story below says what would have been"


def _approval(receipt: Receipt) -> str:
    asked = f" within {times.span(float(receipt['asked']))}" if receipt.get("asked") else " in time"
    return f"Nobody approved it{asked}, so it was not sent; that is not a person's no"


def _ledger(receipt: Receipt) -> str:
    return f"{receipt.get('error')}: {receipt.get('why') or receipt.get('detail') or ''}".rstrip(": ")


def _age(receipt: Receipt) -> str:
    waited = f" after {times.span(float(receipt['age']))}" if receipt.get("age") else ""
    why = f": {receipt['why']}" if receipt.get("why") else ""
    return f"It was {receipt.get('error')}{waited}{why}; its call is not worth running so late"


def _key(receipt: Receipt) -> str:
    error = str(receipt.get("error"))
    holder = f" (call {receipt['holder']})" if receipt.get("holder") else ""
    words = {
        "in progress": "another call of its key is at work",
        "outcome unknown": "what its key sent before is in doubt",
    }
    why = f": {receipt['why']}" if receipt.get("why") else ""
    return f"{error}{holder}: {words.get(error, 'its key may not run again as it is')}{why}"


def _input(receipt: Receipt) -> str:
    return f"Its arguments do not fit its task: {receipt.get('detail')}"


def _service(receipt: Receipt) -> str:
    return f"Its service is away: {receipt.get('error')}"


def _chain(receipt: Receipt) -> str:
    return f"{receipt.get('error')}: call {receipt.get('before')} is {receipt.get('state')}"


def _any(receipt: Receipt) -> str:
    detail = receipt.get("detail")
    text = refusal_text(receipt).removeprefix("NotApplied: ")
    return f"{text}: {detail}" if detail and detail not in text else text


_BY_STAGE = {
    "rate": _rate,
    "cap": _cap,
    "budget": _budget,
    "breaker": _breaker,
    "paused": _paused,
    "line": _paused,
    "ledger": _ledger,
    "autonomy": _autonomy,
    "approval": _approval,
    "age": _age,
    "key": _key,
    "input": _input,
    "service": _service,
    "chain": _chain,
}
