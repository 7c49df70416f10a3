"""Read the tables at the root of the project, and find the line of a row for error messages."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gatekeeper.tables import modules

SCHEDULE = "beat_schedule"
ROUTES = "webhook_routes"


Row = TypeVar("Row")


class TableError(ValueError):
    """Raised when a table or one of its rows cannot be used; the message names the file, the line of a row, and what to write."""


def load(name: str) -> ModuleType:
    """Import a table by its module name; raises TableError if the file cannot be imported."""
    try:
        return modules.load(name)
    except modules.BrokenModule as error:
        raise TableError(str(error)) from None


def rows(table: ModuleType, name: str) -> Mapping[str, Any]:
    """Return the dict of rows in the variable `name` of a table; raises TableError if there is none."""
    found = getattr(table, name, None)
    if not isinstance(found, Mapping):
        what = f"{name} is a {type(found).__name__}" if hasattr(table, name) else f"there is no {name}"
        raise TableError(f"{_file(table).name}: {what}; write {name} = {{'NAME': {{…}}, …}}")
    return found


def read_rows(
    table: ModuleType, name: str, read_row: Callable[[Any, Any], Row]
) -> tuple[dict[str, Row], dict[str, TableError]]:
    """Read the rows of a table; a row that cannot be used does not affect the others.

    Args:
        table: The module of the table.
        name: The variable that holds the rows.
        read_row: Reads one row from its name and its content; raises TableError.

    Returns:
        The rows that can be used and the errors of the others, both by name.

    Raises:
        TableError: there are no rows.

    """
    good: dict[str, Row] = {}
    refused: dict[str, TableError] = {}
    for row_name, content in rows(table, name).items():
        try:
            good[row_name] = read_row(row_name, content)
        except TableError as error:
            refused[str(row_name)] = error
    return good, refused


def refusal(table: ModuleType, names: Sequence[Any], what: str, why: str) -> TableError:
    """Return the error of a row.

    Args:
        table: The module of the table.
        names: The keys that lead to the mistake; see `place`.
        what: What the message calls the row.
        why: What is wrong with it.

    """
    return TableError(f"{place(table, names)}: {what}: {' '.join(why.split())}")


def zone(table: ModuleType) -> ZoneInfo:
    """Return the schedule's `timezone`, a name or a ZoneInfo; raises TableError if it is not known."""
    given = getattr(table, "timezone", "UTC")
    try:
        return given if isinstance(given, ZoneInfo) else ZoneInfo(given)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise TableError(
            f"{_file(table).name}: timezone {given!r} is not known; write for example 'Europe/Berlin'"
        ) from None


def place(table: ModuleType, names: Sequence[Any]) -> str:
    """Return where a row is written, such as `beat_schedule.py, line 11`.

    Args:
        table: The module of the table.
        names: The keys that lead to the row, from the outer dict to the inner.

    """
    file = _file(table)
    return f"{file.name}, line {_line(ast.parse(file.read_text('utf-8')), names)}"


def _file(table: ModuleType) -> Path:
    return Path(inspect.getfile(table))


def _line(within: ast.AST, names: Sequence[Any]) -> int:
    """Return the line of the innermost key that is written literally; 1 if the row is computed."""
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
