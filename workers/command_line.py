"""A fix for Celery's command line, which shows a traceback for JSON that is nested too deeply."""

from __future__ import annotations

from typing import Any

from celery.bin import base


def install() -> None:
    """Report arguments that are nested too deeply for Python's JSON parser as a usage error, like other invalid JSON."""
    for param_type in (base.JsonArray, base.JsonObject):
        _catch_recursion(param_type)


def _catch_recursion(param_type: Any) -> None:
    original = param_type.convert

    def convert(self: Any, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return original(self, value, param, ctx)
        except RecursionError:
            self.fail("it is nested too deep to be read", param, ctx)

    param_type.convert = convert
