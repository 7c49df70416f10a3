"""Gatehouse that counts each fsync of its processes: `celery -A bench.counted worker`."""

from __future__ import annotations

import os

import settings
from bench.gated import app

__all__ = ["COUNT", "app"]

#: The file in STATE_DIR to which each fsync appends one byte.
COUNT = "fsyncs"

_fsync = os.fsync


def _count(descriptor: int) -> None:
    with (settings.current().state_dir / COUNT).open("ab", buffering=0) as count:
        count.write(b".")
    _fsync(descriptor)


os.fsync = _count  # type: ignore[assignment]  # it takes whatever fsync takes
