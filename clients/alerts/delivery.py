"""Deliver one message to one channel, in a process of its own.

Apprise takes 18 MB once it has sent something, and its time limit counts from byte to byte: a receiver that sends one
byte a second holds it for as long as it likes. A process that ends gives the memory back and can be killed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

import settings
from clients.alerts.channel import AlertChannel

#: Seconds for one message: the start of Python, two time-outs of apprise, and the rest of a slow answer.
MAX_SECONDS = 30.0

#: What became of a message. `unknown`: it may have arrived, and no trustworthy answer came back.
Outcome = Literal["sent", "failed", "unknown"]


@dataclass(frozen=True)
class AlertAnswer:
    """The outcome of one message, and its reason without secrets."""

    outcome: Outcome
    why: str


def deliver(
    channel: AlertChannel, title: str, body: str, *, bad: bool = True, seconds: float = MAX_SECONDS
) -> AlertAnswer:
    """Send one message, and return what became of it; never raises.

    Args:
        channel: Where to.
        title: One line.
        body: Plain text.
        bad: Whether something is wrong; False for good news, which some services show in another colour.
        seconds: The longest time that it may take.

    """
    said = _ask({"url": channel.url, "title": title, "body": body, "bad": bad}, seconds)
    if isinstance(said, AlertAnswer):
        return said
    return AlertAnswer(_OUTCOMES.get(said.get("outcome", ""), "unknown"), said.get("why", ""))


def problem(channel: AlertChannel) -> str:
    """Return what is wrong with a channel's address, for people; empty if apprise understands it. Sends nothing."""
    said = _ask({"url": channel.url}, MAX_SECONDS)
    if isinstance(said, AlertAnswer):
        return f"{channel} could not be checked: {said.why}"
    return "" if said.get("outcome") == "usable" else f"{channel}: {said.get('why')}"


_OUTCOMES: dict[str, Outcome] = {"sent": "sent", "failed": "failed"}


def _ask(asked: dict[str, object], seconds: float) -> dict[str, str] | AlertAnswer:
    """Run the sender; the message and the address go through its stdin, because other users of the machine see a command line."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "clients.alerts.sender"],
            cwd=settings.ROOT,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        said: dict[str, str] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return AlertAnswer("unknown", f"it did not answer within {seconds:g} s")
    except OSError as error:
        return AlertAnswer("failed", f"the sender could not be started: {error.strerror}")
    except ValueError:
        return AlertAnswer("unknown", f"the sender ended with {done.returncode} and said nothing")
    return said
