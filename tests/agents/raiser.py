"""An agent whose tasks end in every way in which Python lets code end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

import requests
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded, WorkerShutdown, WorkerTerminate

import gatekeeper
from gatekeeper import Effect

HUGE = 10 * 1024 * 1024


class Mute(Exception):
    """Says nothing: its text raises."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Hidden(Exception):
    def __repr__(self) -> str:
        raise KeyboardInterrupt


class Wordless(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]  # noqa: PLE0307 - that is the fault


class Broken(Exception):
    """Whoever looks at it is hurt."""

    @property
    def args(self) -> Any:  # type: ignore[override]  # likewise
        raise ZeroDivisionError("args")

    @property
    def reason(self) -> Any:
        raise KeyboardInterrupt


class Traceless(Exception):
    @property
    def __traceback__(self) -> Any:  # type: ignore[override]  # likewise
        raise LookupError("traceback")


class Causeless(Exception):
    @property
    def __cause__(self) -> Any:  # type: ignore[override]  # likewise
        raise SystemExit(3)


class Unpicklable(Exception):
    def __reduce__(self) -> Any:
        raise SystemExit(4)


class Shy(Exception):
    """An ordinary exception of which pickle makes nothing."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


class MuteRefusal(gatekeeper.Refused):
    def __str__(self) -> str:
        raise ValueError("no text")


class Own(BaseException):
    """No Exception at all."""


def recursing() -> BaseException:
    def deeper() -> None:
        deeper()

    try:
        deeper()
    except RecursionError as error:
        return error
    raise AssertionError


#: By name, what makes the exception that ends the task.
ENDS: dict[str, Callable[[], BaseException]] = {
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "SystemExit": lambda: SystemExit("enough"),
    "BaseException": lambda: Own("mine"),
    "CancelledError": asyncio.CancelledError,
    "RecursionError": recursing,
    "MemoryError": MemoryError,
    "no text": Mute,
    "no repr": Hidden,
    "text is a number": Wordless,
    "no args": Broken,
    "no traceback": Traceless,
    "no cause": Causeless,
    "no pickle": Unpicklable,
    "pickled ill": lambda: Shy("a", "b"),
    "huge": lambda: ValueError("x" * HUGE),
    "half a character": lambda: ValueError("half \ud800 of one"),
    "group": lambda: ExceptionGroup("many", [ValueError("a"), Mute(), ExceptionGroup("more", [OSError("b")])]),
    "group of the worst": lambda: BaseExceptionGroup("all", [KeyboardInterrupt(), SystemExit()]),
    "Ignore": lambda: Ignore("never mind"),
    "Reject": lambda: Reject("not mine", requeue=True),
    "Retry": lambda: Retry("later"),
    "SoftTimeLimitExceeded": SoftTimeLimitExceeded,
    "TimeLimitExceeded": lambda: TimeLimitExceeded(3),
    "Terminated": lambda: Terminated(15),
    "WorkerLostError": lambda: WorkerLostError("gone"),
    "WorkerShutdown": lambda: WorkerShutdown(0),
    "WorkerTerminate": lambda: WorkerTerminate(1),
    "a mute refusal": MuteRefusal,
    "a strange answer": lambda: requests.HTTPError(response=object()),  # type: ignore[arg-type]  # that is the fault
}


def made(how: str) -> BaseException:
    return ENDS[how]()


def send(key: str) -> None:
    requests.post(f"{os.environ['EFFECTS_URL']}/{key}", json={}, timeout=10)


@gatekeeper.task(key="end:{how}", attempts=1)
def end(how: str) -> str:
    """End before any line."""
    raise made(how)


@gatekeeper.task(key="behind:{how}", effect=Effect())
def end_behind(how: str) -> str:
    """End inside the effect, when the effect is out."""
    with gatekeeper.effect(payload=how):
        send(f"behind:{how}")
        raise made(how)


def ask(payload: str, how: str) -> Any:
    raise made(how)


@gatekeeper.task(key="verify:{how}", effect=Effect(verify=ask, every="1h"))
def end_in_verify(how: str) -> str:
    """Be in doubt, and have a look-up that ends so."""
    with gatekeeper.effect(payload=how):
        send(f"verify:{how}")
        raise TimeoutError("no answer")


def follow(output: str, how: str) -> None:
    raise made(how)


@gatekeeper.task(key="then:{how}", effect=Effect(then=follow))
def end_in_then(how: str) -> str:
    """Have the effect, and end in what follows."""
    with gatekeeper.effect(payload=how):
        send(f"then:{how}")
    return how


@gatekeeper.task(key="undo:{how}", effect=Effect(undo=follow))
def end_in_undo(how: str) -> int:
    """Have the effect, give an output that does not fit, and end while it is taken back."""
    with gatekeeper.effect(payload=how):
        send(f"undo:{how}")
    return how  # type: ignore[return-value]  # that is the fault


class Output(dict[str, Any]):
    """An output that ends whoever writes it down."""

    how = ""

    def items(self) -> Any:
        raise made(self.how)

    __iter__ = keys = values = items


@gatekeeper.task(key="output:{how}", effect=Effect())
def end_in_output(how: str) -> Any:
    """Have the effect, and give an output that cannot be written down."""
    with gatekeeper.effect(payload=how):
        send(f"output:{how}")
    output = Output(a=1)
    output.how = how
    return output


@gatekeeper.task(key="fine:{n}")
def fine(n: int) -> int:
    """End well."""
    return n


@gatekeeper.task(key="leave:{n}", attempts=1)
def leave(n: int) -> None:
    """End as a script would."""
    sys.exit(n)
