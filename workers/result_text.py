"""The text of a result in Celery's events, which Flower shows: it begins with what happened, and why."""

from __future__ import annotations

from typing import Any

from celery.app import trace
from celery.utils.saferepr import saferepr

#: Characters; the whole reason is in the answer behind it.
MAX_HEADLINE = 200


def install() -> None:
    """Let every task of the gate report its result that way; only the text changes, and never the stored answer."""
    # It has no other use in that module, and a pool's processes inherit it.
    trace.saferepr = describe  # type: ignore[attr-defined]  # celery-types leaves it out


def describe(result: Any, max_length: int | None = None) -> str:
    """Return the text of a result: a headline and the answer if it is one, else what Celery would say."""
    text = saferepr(result, max_length)
    is_answer = isinstance(result, dict) and isinstance(result.get("ok"), bool) and "key" in result
    return f"{headline(result)}  {text}" if is_answer else text


def headline(answer: dict[str, Any]) -> str:
    """Return what an answer says in a few words, such as `refused: rate limited (again in 12.5 s)`."""
    reason, more = str(answer.get("error", "")), str(answer.get("why") or answer.get("detail") or "")
    reason = f"{reason}: {more}" if more and more != reason else reason
    if answer.get("replayed"):
        return f"replayed: {reason or 'it was done before'}"[:MAX_HEADLINE]
    if answer["ok"]:
        return "done"
    if "replayed" in answer:  # the effect happened; a refusal has no such field
        return f"done with a flaw: {reason}"[:MAX_HEADLINE]
    again = f" (again in {answer['retry_after']:g} s)" if answer.get("retry_after") else ""
    return f"{'deferred' if answer.get('deferred') else 'refused'}: {reason}"[:MAX_HEADLINE] + again
