"""Gatehouse as it runs in production, but for its results: `celery -A bench.gated worker`."""

from __future__ import annotations

from workers import app

__all__ = ["app"]

app.conf.task_ignore_result = True
