"""Stumble at a named step: the process kills or stops itself there, or the thread waits there. It is told so by its environment, and only there.

STUMBLE='{"step": "cross.after", "act": "kill", "nth": 3}': the third time that some thread of this process comes to that
step. `act` is "kill" (SIGKILL), "hold" (the thread waits until `go-PID` is in NOTES_DIR) or "oom" (eat memory). `times` is
how often (default 1; 0 for ever). Each stumble leaves a note `stumble-STEP-PID` in NOTES_DIR before it happens, one line each.

Nothing of the product is replaced: the real function runs, before or after the stumble.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Where the steps are: step → module and name.
STEPS = {
    "fetch": ("workers.broker", "QoS.append"),  # between the broker's list and the worker's
    "ack": ("workers.broker", "QoS.ack"),  # which the loop sends a moment later
    "register": ("state.ledger.ledger", "Ledger.register"),
    "admit": ("state.ledger.ledger", "Ledger._admit_once"),
    "cross": ("state.ledger.ledger", "Ledger.begin_effect"),
    "script": ("state.ledger.attempt", "_begin_effect"),  # the compare-and-set alone
    "answer": ("clients.http", "request"),
    "keep": ("gatekeeper", "keep"),  # a recovery point
    "settle": ("state.ledger.ledger", "Ledger._settle_once"),
    "renew": ("state.ledger.ledger", "Ledger.renew"),
    "reclaim": ("state.ledger.ledger", "Ledger.reclaim"),
    "resend": ("workers.application", "Gatehouse.resend"),
    "journal": ("state.journal.journal", "Journal.append"),
    "mirror": ("os", "replace"),  # a state file is about to become the new one
}
#: Where they are instead with RabbitMQ as the broker.
RABBITMQ_STEPS = {
    "fetch": ("workers.rabbitmq.transport", "ConfirmingChannel.message_to_python"),  # taken, and not noted
    "ack": ("workers.rabbitmq.transport", "ConfirmingChannel.basic_ack"),
}
#: Steps that Python itself announces, to audit hooks.
ANNOUNCED = {"connect": "http.client.connect", "bytes": "http.client.send"}


class Stumble:
    """One order."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.step, _, self.when = str(order["step"]).partition(".")
        self._act = str(order["act"])
        self._nth, self._times = int(order.get("nth", 1)), int(order.get("times", 1))
        self._seen = itertools.count(1)
        self._guard = threading.Lock()

    def arm(self) -> None:
        if self.step in ANNOUNCED:
            sys.addaudithook(self._hear)
            return
        is_amqp = os.environ.get("BROKER_URL", "").startswith("amqp")
        module, path = (STEPS | RABBITMQ_STEPS if is_amqp else STEPS)[self.step]
        *owners, name = path.split(".")
        owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
        setattr(owner, name, self._around(getattr(owner, name)))

    def _around(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def stumbling(*args: Any, **kwargs: Any) -> Any:
            if self.when == "before":
                self._come_by()
            found = real(*args, **kwargs)
            if self.when == "after":
                self._come_by()
            return found

        return stumbling

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        """The first byte of an effect is about to be written; whatever checks that has been heard before."""
        if event == ANNOUNCED[self.step] and (self.step != "bytes" or args[1].startswith(b"POST ")):
            self._come_by()

    def _come_by(self) -> None:
        with self._guard:
            seen = next(self._seen)
            if seen < self._nth or (self._times and seen >= self._nth + self._times):
                return
            with (Path(os.environ["NOTES_DIR"]) / f"stumble-{self.step}-{os.getpid()}").open("a") as notes:
                notes.write(f"{self.when} {seen}\n")
        self._fall()

    def _fall(self) -> None:
        if self._act == "oom":
            hoard = [bytearray(b"x" * (1 << 20)) for _ in range(1 << 14)]
            raise MemoryError(f"{len(hoard)} MB were not enough")
        if self._act == "hold":
            go = Path(os.environ["NOTES_DIR"]) / f"go-{os.getpid()}"
            while not go.exists():
                time.sleep(0.01)
            return
        os.kill(os.getpid(), signal.SIGKILL)


def arm() -> None:
    """Do as STUMBLE says, if it says anything."""
    if order := os.environ.get("STUMBLE"):
        Stumble(json.loads(order)).arm()
