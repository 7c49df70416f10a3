"""What the task of every peer does: one POST to the effect server, by the standard library alone."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

#: The first attempt at a key that begins like this never gets as far as its effect.
STUCK = "stuck"
#: Seconds; longer than any fault lasts, so that such an attempt ends when its process is killed.
FOR_EVER = 600


def publish(key: str) -> str:
    """Send the effect of `key`; any answer but a 2xx is an error."""
    begin(key)
    body = json.dumps({"key": key}).encode()
    request = Request(f"{os.environ['EFFECTS_URL']}/{key}", body, method="POST")
    with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
        return str(answer.read().decode())


def begin(key: str) -> None:
    """Note which process tries; a fault knows by that whom to kill."""
    notes = Path(os.environ["NOTES_DIR"]) / key
    stuck = key.startswith(STUCK) and not notes.exists()
    with notes.open("a") as lines:
        lines.write(f"{os.getpid()}\n")
    if stuck:
        threading.Event().wait(FOR_EVER)
