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
