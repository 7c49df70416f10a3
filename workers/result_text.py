"""The text of a result in Celery's events, which Flower shows: it begins with what happened, and why."""

from __future__ import annotations

from typing import Any

from celery.app import trace
from celery.utils.saferepr import saferepr

#: Characters; the whole reason is in the answer behind it.
MAX_HEADLINE = 200
#: Items of an answer, and characters of a text, up to which Celery cuts nothing.
MAX_ITEMS = 8
MAX_PLAIN = 1000
PLAIN_TYPES = (str, int, float, bool, type(None))


def install() -> None:
    """Let every task of the gate report its result that way; only the text changes, and never the stored answer."""
    # It has no other use in that module, and a pool's processes inherit it.
    trace.saferepr = describe  # type: ignore[attr-defined]  # celery-types leaves it out


def describe(result: Any, max_length: int | None = None) -> str:
    """Return the text of a result: a headline and the answer if it is one, else what Celery would say."""
    text = text_of(result, max_length)
    is_answer = isinstance(result, dict) and isinstance(result.get("ok"), bool) and "key" in result
    return f"{headline(result)}  {text}" if is_answer else text


def text_of(value: Any, max_length: int | None = None) -> str:
    """Return the text of a value: Python's own if that is short, else Celery's, which takes ten times as long.

    Args:
        value: Any value.
        max_length: Characters at which Celery cuts its text; None for no limit.

    """
    return repr(value) if _is_plain(value, max_length or MAX_PLAIN) else str(saferepr(value, max_length))


def _is_plain(value: Any, most: int) -> bool:
    """Return whether a value is a dict of a few short values, of whose text nothing is cut."""
    return (
        type(value) is dict
        and len(value) <= MAX_ITEMS
        and all(type(one) in PLAIN_TYPES and len(str(one)) * MAX_ITEMS < most for one in value.values())
    )


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
