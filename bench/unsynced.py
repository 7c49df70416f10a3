"""Gatehouse whose journal is not brought to the disk, to see what that takes: `celery -A bench.unsynced worker`."""

from __future__ import annotations

import os

from bench.gated import app

__all__ = ["app"]


def _pretend(_: object) -> None:
    """Pretend to sync: the operating system has the record, and a power cut would lose it."""


os.fsync = _pretend  # type: ignore[assignment]  # it takes whatever fsync takes
