"""Gatehouse without fsync of its journal, to measure the cost of fsync: `celery -A bench.unsynced worker`."""

from __future__ import annotations

import os

from bench.gated import app

__all__ = ["app"]


def _pretend(_: object) -> None:
    """Pretend to sync: the operating system has the record, and a power cut would lose it."""


os.fsync = _pretend  # type: ignore[assignment]  # it takes whatever fsync takes
