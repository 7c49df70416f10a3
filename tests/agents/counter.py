"""One small task per policy, for tests that look at a single rule."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, cast

import requests

import gatekeeper
from gatekeeper import Breaker, Effect, Rate


def note(name: str, line: str = "") -> int:
    """Add a line under a name, for the test to read; answers how many lines there are."""
    path = Path(os.environ["NOTES_DIR"]) / name
    with path.open("a") as notes:
        notes.write(f"{line or os.getpid()}\n")
    return len(path.read_text().splitlines())


def post(key: str, content: Any) -> Any:
    answer = requests.post(f"{os.environ['EFFECTS_URL']}/{key}", json=content, timeout=60)
    answer.raise_for_status()
    return answer.json()


@gatekeeper.task()
def add(a: int, b: int) -> int:
    """Repeat-safe, and as quick as can be."""
    return a + b


@gatekeeper.task()
def fail(times: int, name: str = "fail") -> int:
    """Fail the first `times` attempts over all processes; answers which attempt went well."""
    attempt = note(name)
    if attempt <= times:
        raise RuntimeError(f"attempt {attempt} of {name} fails")
    return attempt


@gatekeeper.task()
def sleepy(seconds: float, name: str = "sleepy") -> float:
    """Repeat-safe work that takes its time; leaves a note when it begins."""
    note(name)
    time.sleep(seconds)
    return seconds


@gatekeeper.task()
def kill_me(marker: str) -> int:
    """Take the process down on the first attempt; answers which attempt survived."""
    attempt = note(marker)
    if attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return attempt


@gatekeeper.task(rate="5/second")
def paced(n: int) -> int:
    """Five at once, then one every 200 ms; the others wait for their turn."""
    note("paced", str(n))
    return n


@gatekeeper.task(rate=Rate("3/hour", over="drop"))
def limited(n: int) -> int:
    """Three at once; the others are refused."""
    note("limited", str(n))
    return n


@gatekeeper.task(breaker=Breaker(after=3, cooldown="1s"))
def fragile(works: bool) -> str:
    """Fail when told to; three failures in a row trip the breaker for a second."""
    note("fragile", "works" if works else "fails")
    if not works:
        raise RuntimeError("told to fail")
    return "worked"


@gatekeeper.task(budget="100 tokens/day")
def spending(tokens: int) -> int:
    """Ask a model of its own, which charges so many tokens."""
    gatekeeper.spend(tokens, "own")
    return tokens


@gatekeeper.task(key="capped:{n}", cap="2/day", effect=Effect())
def capped(n: int) -> dict[str, Any]:
    """An effect of which two a day are enough."""
    with gatekeeper.effect(payload={"n": n}) as frozen:
        found: dict[str, Any] = post(f"capped:{n}", frozen)
    return found


def take_back(*args: Any, **kwargs: Any) -> None:
    """Undo every garbled effect, and note that it was asked for."""
    note("undone", f"{args} {kwargs}")


@gatekeeper.task(key="garbled:{n}", effect=Effect(undo=take_back))
def garbled(n: int) -> int:
    """An effect whose answer is not what the signature promises."""
    with gatekeeper.effect(payload={"n": n}) as frozen:
        post(f"garbled:{n}", frozen)
    return cast("int", "not a number")
