"""Celery's command line, where it would show a traceback for what a person typed."""

from __future__ import annotations

from typing import Any

from celery.bin import base


def install() -> None:
    """Let arguments that are nested too deep for Python's JSON reader be a usage error, as other broken JSON is."""
    for kind in (base.JsonArray, base.JsonObject):
        _survive_depth(kind)


def _survive_depth(kind: Any) -> None:
    original = kind.convert

    def convert(self: Any, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return original(self, value, param, ctx)
        except RecursionError:
            self.fail("it is nested too deep to be read", param, ctx)

    kind.convert = convert
