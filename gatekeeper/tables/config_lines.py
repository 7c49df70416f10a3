"""The tables at the root: where in its file a row stands, so that whoever wrote it finds it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gatekeeper.tables import modules

SCHEDULE = "beat_schedule"
ROUTES = "webhook_routes"


class TableError(ValueError):
    """Raised when a table cannot be used as a whole; says in which file, and what to write."""


def load(name: str) -> ModuleType:
    """The table of this name; raises TableError if the file cannot be read."""
    try:
        return modules.load(name)
    except modules.BrokenModule as error:
        raise TableError(str(error)) from None


def rows(table: ModuleType, name: str) -> Mapping[str, Any]:
    """The dict of rows that the table calls `name`; raises TableError if there is none."""
    found = getattr(table, name, None)
    if not isinstance(found, Mapping):
        what = f"{name} is a {type(found).__name__}" if hasattr(table, name) else f"there is no {name}"
        raise TableError(f"{_file(table).name}: {what}; write {name} = {{'NAME': {{…}}, …}}")
    return found


def zone(table: ModuleType) -> ZoneInfo:
    """The time zone of the schedule, given by its name or as a ZoneInfo; raises TableError."""
    given = getattr(table, "timezone", "UTC")
    try:
        return given if isinstance(given, ZoneInfo) else ZoneInfo(given)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise TableError(
            f"{_file(table).name}: timezone {given!r} is not known; write for example 'Europe/Berlin'"
        ) from None


def place(table: ModuleType, names: Sequence[Any]) -> str:
    """Where the row stands to which these names lead, one inside the other: `beat_schedule.py, line 11`."""
    file = _file(table)
    return f"{file.name}, line {_line(ast.parse(file.read_text('utf-8')), names)}"


def _file(table: ModuleType) -> Path:
    return Path(inspect.getfile(table))


def _line(within: ast.AST, names: Sequence[Any]) -> int:
    """The line of the innermost name that is written down; 1 if the row is made by code."""
    line = 1
    for name in names:
        found = _entry(within, name)
        if found is None:
            break
        line, within = found
    return line


def _entry(within: ast.AST, name: Any) -> tuple[int, ast.AST] | None:
    for node in ast.walk(within):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == name:
                    return key.lineno, value
    return None
