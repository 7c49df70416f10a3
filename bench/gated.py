"""Gatehouse as in production, except that results are ignored: `celery -A bench.gated worker`."""

from __future__ import annotations

from workers import app

__all__ = ["app"]

app.conf.task_ignore_result = True
