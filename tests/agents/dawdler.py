"""An agent whose work takes longer than its lease."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import gatekeeper


@gatekeeper.task(key="dawdle:{n}", lease="2s")
def dawdle(n: int, seconds: float) -> int:
    """Note the start, and take so long."""
    (Path(os.environ["NOTES_DIR"]) / f"start-{n}-{uuid.uuid4()}").touch()
    time.sleep(seconds)
    return n


@gatekeeper.task(key="hang:{n}", lease="2s")
def hang_at_first(n: int) -> int:
    """Note the start; the first attempt then waits for the note `go-on`, and later ones return at once."""
    notes = Path(os.environ["NOTES_DIR"])
    (notes / f"start-{n}-{uuid.uuid4()}").touch()
    if len(list(notes.glob(f"start-{n}-*"))) == 1:
        while not (notes / "go-on").exists():
            time.sleep(0.02)
    return n
