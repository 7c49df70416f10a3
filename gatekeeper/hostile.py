"""Safe reading of any exception, even one whose text, arguments, causes or pickling raise or never end.

An attempt must settle whatever its exception does, so the gate reads exceptions only through these functions.
"""

from __future__ import annotations

import pickle
import traceback
from contextlib import suppress

#: Characters. Celery stores the text and the traceback of an error with the result; longer ones are replaced.
MAX_SHOWN = 200_000


def text_of(error: BaseException) -> str:
    """Return the message of an exception, or a note that it cannot be read; never raise."""
    try:
        return str.join("", [str(error)])  # a plain str, even if __str__ returns a subclass
    except BaseException as problem:  # noqa: BLE001 - even sys.exit() in __str__ must not keep the attempt from settling
        return f"(its text cannot be read: {type(problem).__name__})"


def wrapped_errors(error: BaseException) -> list[BaseException]:
    """Return the exceptions inside an exception: its `reason`, its arguments, the only one of a group; never raise."""
    try:
        if isinstance(error, BaseExceptionGroup):
            return list(error.exceptions) if len(error.exceptions) == 1 else []
        found = [getattr(error, "reason", None), *error.args]
    except BaseException:  # noqa: BLE001 - as above; an exception that cannot be read counts as empty
        return []
    return [one for one in found if isinstance(one, BaseException)]


def traceback_of(error: Exception) -> str | None:
    """Return the traceback of an exception and its causes as Celery stores it; None if Celery could not store it.

    Celery reads the text, the arguments and the causes, and tries to pickle the exception. It handles an `Exception`
    from pickling only.
    """
    try:
        text = "".join(traceback.format_exception(error))
        for readable in (str(error), repr(error), repr(error.args)):
            readable.encode()
        text.encode()
        with suppress(Exception):
            pickle.loads(pickle.dumps(error))  # noqa: S301 - this process has just written it
    except BaseException:  # noqa: BLE001 - as above
        return None
    return text if len(text) <= MAX_SHOWN else None
