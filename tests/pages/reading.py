"""What a page says to do, in order: the commands of its `console` and `sh` blocks, and the files that it shows.

Invisible comments before a block tell the test what a reader does without being told, or why a block is not run:

    <!-- situation: NAME -->    at the top: tests/night produces it first
    <!-- prepare: COMMAND -->   a command that a reader does not need
    <!-- file: PATH -->         the next block is the content of this file
    <!-- append: PATH -->       the next block is appended to this file
    <!-- exits: CODE -->        the last command of the next block ends with this code
    <!-- not run: REASON -->    the next block is not run; above the first heading: no block of the page is
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.harness.install import ROOT

PART = re.compile(
    r"<!-- (?P<name>situation|prepare|file|append|exits|not run): (?P<value>.+?) -->"
    r"|^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
#: Records of their day, and pages that are made from docstrings.
NOT_READ = ("docs/decisions/", "docs/reference/")


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        kind: `run`, `file` or `append`.
        text: The command, or the content of the file.
        path: The file.
        code: How the command must end.

    """

    kind: str
    text: str
    path: str = ""
    code: int = 0


@dataclass(frozen=True)
class Page:
    """A page, what it says to do, and what of it cannot be done by a test."""

    path: Path
    situation: str
    steps: list[Step]
    not_run: list[tuple[str, str]]  #: command and reason

    @property
    def is_operations(self) -> bool:
        return self.path.parent.name == "operations"

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))


def pages() -> list[Page]:
    """Return every page that has commands."""
    files = [*ROOT.glob("*.md"), ROOT / "examples" / "README.md", *(ROOT / "docs").rglob("*.md")]
    found = [read(path) for path in sorted(files) if not str(path.relative_to(ROOT)).startswith(NOT_READ)]
    return [page for page in found if page.steps or page.not_run]


def read(path: Path) -> Page:
    """Read one page."""
    page = Page(path, "", [], [])
    said: dict[str, str] = {}
    whole = ""
    for found in PART.finditer(path.read_text()):
        if found["name"] == "situation":
            page = Page(path, found["value"], page.steps, page.not_run)
        elif found["name"] == "prepare":
            page.steps.append(Step("run", found["value"]))
        elif found["name"] == "not run" and not page.steps and "```" not in path.read_text()[: found.start()]:
            whole, said["not run"] = found["value"], found["value"]
        elif found["name"]:
            said[found["name"]] = found["value"]
        else:
            _take(page, found, said | ({"not run": whole} if whole else {}))
            said = {}
    return page


def _take(page: Page, found: re.Match[str], said: dict[str, str]) -> None:
    text = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
    for kind in ("file", "append"):
        if kind in said:
            page.steps.append(Step(kind, text, said[kind]))
            return
    commands = list(_commands(found["language"], text))
    if "not run" in said:
        page.not_run.extend((command, said["not run"]) for command in commands)
        return
    codes = [0] * (len(commands) - 1) + [int(said.get("exits", 0))]
    page.steps.extend(Step("run", command, code=code) for command, code in zip(commands, codes, strict=bool(commands)))


def _commands(language: str, text: str) -> Iterator[str]:
    if language == "sh":
        yield text
    elif language == "console":
        yield from re.findall(r"^\$ ((?:.*\\\n)*.*)$", text, re.MULTILINE)
