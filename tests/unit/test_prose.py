"""Product code is written in plain technical English: the habits that a script can find are refused here."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from settings import ROOT

PRODUCT = ("server_urls", "state", "gatekeeper", "clients", "tasks", "workers", "web", "deploy")
SCRIPTS = sorted((ROOT / "state" / "scripts").glob("*.lua*"))
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

#: A docstring that begins with one of these describes a riddle, not an action or a thing.
QUESTIONS = frozenset({"who", "what", "where", "whether", "that", "which", "whose", "whoever", "how", "when", "why"})
#: A function's docstring begins with a verb, so it does not begin with an article, a pronoun or a number either.
NOT_VERBS = QUESTIONS | frozenset(
    {"a", "all", "an", "any", "as", "both", "each", "every", "for", "if", "it", "its", "no", "nobody", "of", "one"}
    | {"our", "some", "the", "there", "these", "they", "this", "those", "to", "two", "we", "without"}
)
#: "is not a …" is what a native writer says; "there is no …" and "is no longer …" are fine.
IS_NO = re.compile(r"(?<!there )\b(is|are|was|were) no (?!longer\b|more than\b|later than\b|doubt\b)", re.IGNORECASE)

#: Programs have callers, users and other processes, which have names.
PERSONS = re.compile(r"\b(whoever|whomever|anybody|everybody)\b", re.IGNORECASE)

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def product_files() -> list[Path]:
    return sorted([*ROOT.glob("*.py"), *(path for room in PRODUCT for path in (ROOT / room).rglob("*.py"))])


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def docstrings(path: Path) -> Iterator[tuple[Documented, str]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield node, text


def is_function(node: Documented) -> bool:
    """Return whether it is a function that is called: a property is read like a field, and its docstring may be a noun."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return not any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def opening(text: str) -> str:
    return re.split(r"[\s,:;.]", text, maxsplit=1)[0].lower()


def test_a_docstring_begins_with_a_verb_or_a_noun() -> None:
    found = [
        place(path, getattr(node, "lineno", 1)) + f": {text.splitlines()[0]}"
        for path in product_files()
        for node, text in docstrings(path)
        if opening(text) in (NOT_VERBS if is_function(node) else QUESTIONS)
    ]

    assert not found, "begin with a verb (a class or module: with a noun):\n" + "\n".join(found)


def lines_with(pattern: re.Pattern[str], paths: Iterable[Path]) -> list[str]:
    return [
        place(path, number) + f": {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def test_the_code_says_is_not_instead_of_is_no() -> None:
    found = lines_with(IS_NO, [*product_files(), *SCRIPTS])

    assert not found, "write 'is not a':\n" + "\n".join(found)


def test_the_documentation_says_is_not_instead_of_is_no() -> None:
    found = lines_with(IS_NO, DOCS)

    assert not found, "write 'is not a':\n" + "\n".join(found)


def test_the_code_names_its_subjects() -> None:
    found = lines_with(PERSONS, [*product_files(), *SCRIPTS])

    assert not found, "name the process, the caller or the person:\n" + "\n".join(found)


def test_no_two_classes_have_one_name() -> None:
    places = defaultdict(list)
    for path in product_files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(place(path, node.lineno))

    assert {name: where for name, where in places.items() if len(where) > 1} == {}
