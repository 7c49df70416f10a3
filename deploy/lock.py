"""`python -m deploy.lock` (`make lock`): write deploy/requirements.txt, every package of the program with its hashes.

It asks the package index that uv is set up for, so the file names none. It holds for every Python and every machine that
pyproject.toml allows: where two need different packages, a marker says which.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from typing import Any

from deploy import tools
from settings import ROOT
from state import terminal

LOCK = ROOT / "deploy" / "requirements.txt"

#: Stands in the lock's first lines before the digest of what it was made from.
MADE_FROM = "# Made from the dependencies of pyproject.toml with the digest "

_HEAD = """\
# Every package of the program and of its build, with the hashes of all its files. Do not edit: run `make lock`.
"""


def main() -> int:
    """Make the lock anew; what is locked already stays, unless `--upgrade` is given. Answers the exit code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = requirements(project)
    try:
        uv = tools.program("uv")
    except tools.ToolMissing as error:
        return _failed(str(error))
    asked = [str(uv), *options(project, upgrade="--upgrade" in sys.argv), "-"]
    done = subprocess.run(asked, input="\n".join(wanted), text=True, capture_output=True, check=False)
    if done.returncode:
        return _failed(done.stderr.strip())
    LOCK.write_text(f"{_HEAD}{MADE_FROM}{digest(wanted)}\n{done.stdout}")
    return 0


def requirements(project: dict[str, Any]) -> list[str]:
    """What the program needs to run and to be built, as pyproject.toml writes it."""
    return sorted([*project["project"]["dependencies"], *project["build-system"]["requires"]])


def digest(wanted: list[str]) -> str:
    """What tells a lock that was made before the dependencies changed."""
    return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()


def options(project: dict[str, Any], *, upgrade: bool) -> list[str]:
    """What uv is asked; the requirements are its input."""
    oldest = project["project"]["requires-python"].removeprefix(">=")
    known = ["--constraint", str(LOCK)] if LOCK.exists() and not upgrade else []
    return [
        "pip", "compile", "--quiet", "--universal", "--python-version", oldest,
        "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links",
        *known,
    ]  # fmt: skip


def _failed(why: str) -> int:
    print(f"gatehouse: the lock was not written: {terminal.lines(why)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
