"""Look at the code that tests and benchmarks hand to other processes as text: mypy and ruff see only a string there."""

import ast
import importlib.util
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for room in ("tests", "bench", "deploy") for path in (ROOT / room).rglob("*.py"))

#: The agents of tests are copied beside the code that imports them; a test writes or lacks the others itself; `x` is a value.
OF_TESTS = frozenset(path.stem for path in (ROOT / "tests/agents").glob("*.py")) | {
    *("greeter", "herald", "odd", "table"),
    *("nothing_like_it", "nothing_of_this_name"),
    "x",
}


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each string of a file with its line; a value inside an f-string counts as the name `x`."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def imported(code: str) -> set[tuple[str, str]]:
    """Return the modules that a text imports, each with a name that is taken from it or ""; none if the text is not Python."""
    try:
        nodes = list(ast.walk(ast.parse(textwrap.dedent(code))))
    except (SyntaxError, ValueError):
        return set()
    whole = {(alias.name, "") for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    absolute = [node for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return whole | {(node.module or "", alias.name) for node in absolute for alias in node.names}


@cache
def exists(module: str, name: str = "") -> bool:
    """Return whether the module exists, and has the name in its source or as a module in it."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return False
    if found is None or not name or not found.has_location:
        return found is not None
    return name in re.findall(r"\w+", Path(str(found.origin)).read_text()) or exists(f"{module}.{name}")


def unknown(code: str) -> set[str]:
    given = {"x", "*", "nothing"}
    return {
        f"{module}.{name}".rstrip(".")
        for module, name in imported(code)
        if module not in OF_TESTS and not exists(module, "" if name in given else name)
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_in_a_string_imports_only_modules_that_exist(path: Path) -> None:
    tree = ast.parse(path.read_text())

    missing = [(line, unknown(text)) for line, text in texts(tree) if "import " in text and unknown(text)]

    assert not missing


def test_a_module_that_moved_is_found_in_a_string() -> None:
    code = 'run("""\n    import json, redis_url\n""")\nrun(f"from state.redis import {name}, nothing_of_it")\n'

    assert [unknown(text) for _, text in texts(ast.parse(code)) if "import " in text] == [
        {"redis_url"},
        {"state.redis.nothing_of_it"},
    ]
