"""Exceptions that hurt whoever looks at them: their text, arguments, causes or pickling raise, or have no end.

An attempt must settle whatever its exception does, so the gate reads exceptions through these functions only.
"""

from __future__ import annotations

import pickle
import traceback
from contextlib import suppress

#: Characters. Celery stores the text of an error and its traceback with the result; more than this is not a message.
MAX_SHOWN = 200_000


def text_of(error: BaseException) -> str:
    """What the exception says of itself, or that it cannot be read. Never raises."""
    try:
        return str.join("", [str(error)])  # a plain str, whatever subclass it returned
    except BaseException as problem:  # noqa: BLE001 - even sys.exit() in __str__ must not keep the attempt from settling
        return f"(its text cannot be read: {type(problem).__name__})"


def wrapped_errors(error: BaseException) -> list[BaseException]:
    """What libraries wrapped into an exception: its `reason`, its arguments, the only one of a group. Never raises."""
    try:
        if isinstance(error, BaseExceptionGroup):
            return list(error.exceptions) if len(error.exceptions) == 1 else []
        found = [getattr(error, "reason", None), *error.args]
    except BaseException:  # noqa: BLE001 - as above; an exception that cannot be looked into has nothing inside
        return []
    return [one for one in found if isinstance(one, BaseException)]


def traceback_of(error: Exception) -> str | None:
    """The traceback of an exception and of its causes as Celery stores it; None if Celery would fail at it.

    Celery reads the text, the arguments and the causes, and tries to pickle it; it expects an `Exception` from pickle only.
    """
    try:
        text = "".join(traceback.format_exception(error))
        for readable in (str(error), repr(error), repr(error.args)):
            readable.encode()
        text.encode()
        with suppress(Exception):
            pickle.loads(pickle.dumps(error))  # noqa: S301 - what this process has just written
    except BaseException:  # noqa: BLE001 - as above
        return None
    return text if len(text) <= MAX_SHOWN else None
