"""The tables at the root: where in its file a row stands, so that whoever wrote it finds it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType


def place(table: ModuleType, names: Sequence[str]) -> str:
    """Where the row stands to which these names lead, one inside the other: `beat_schedule.py, line 11`."""
    file = Path(inspect.getfile(table))
    return f"{file.name}, line {_line(ast.parse(file.read_text()), names)}"


def _line(within: ast.AST, names: Sequence[str]) -> int:
    """The line of the innermost name that is written down; 1 if the row is made by code."""
    line = 1
    for name in names:
        found = _entry(within, name)
        if found is None:
            break
        line, within = found
    return line


def _entry(within: ast.AST, name: str) -> tuple[int, ast.AST] | None:
    for node in ast.walk(within):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == name:
                    return key.lineno, value
    return None
