"""No module outside `state/` knows that there are a journal and Redis: the imports make it so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import settings

PACKAGES = ("server_urls", "state", "gatekeeper", "clients", "tasks", "workers", "web", "deploy")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the product that a test may change."""
    for package in PACKAGES:
        shutil.copytree(settings.ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(settings.ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--contract", "two-stores", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={"PYTHONPATH": "."})


def test_no_module_outside_state_imports_a_store(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("store", ["state.redis", "state.journal", "state.recovery"])
@pytest.mark.parametrize("file", ["gatekeeper/run/pipeline.py", "tasks/publisher.py", "web/app.py"])
def test_an_import_of_a_store_is_found(copy: Path, file: str, store: str) -> None:
    with (copy / file).open("a") as module:
        module.write(f"\nimport {store}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout
    assert f"is not allowed to import {store}" in done.stdout
