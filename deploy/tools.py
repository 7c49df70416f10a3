"""Programs that look after the lock. They have an environment of their own, so that they change nothing of what they look at."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(sys.prefix) / "tools"

WANTED = {"uv": "uv>=0.5,<1", "pip-audit": "pip-audit>=2.7,<3"}


class ToolMissing(RuntimeError):
    """Raised when a program is not here and cannot be installed; says why."""


def program(name: str) -> Path:
    """The path of the program, which is installed if it is not here; raises ToolMissing."""
    path = FOLDER / "bin" / name
    if not path.exists():
        _install(WANTED[name])
    return path


def _install(requirement: str) -> None:
    try:
        venv.create(FOLDER, with_pip=True)
        pip = [
            str(FOLDER / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            requirement,
        ]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolMissing(f"{requirement} cannot be installed: {error}") from error
    if done.returncode:
        why = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ToolMissing(f"{requirement} cannot be installed: {why[0] if why else 'pip failed'}")
