"""The installation behind the Makefile, where it has to refuse."""

from __future__ import annotations

import subprocess
from pathlib import Path

import settings

SCRIPT = settings.ROOT / "deploy" / "install.sh"


def install(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{python}\n")
    program.chmod(0o755)
    return subprocess.run(
        ["sh", SCRIPT, "."],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(program)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_is_refused_in_one_line_before_anything_is_made(tmp_path: Path) -> None:
    refused = install(tmp_path, 'case $1 in --version) echo "Python 3.9.2" ;; *) exit 1 ;; esac')

    assert (1, 1) == (refused.returncode, len(refused.stderr.splitlines()))
    assert "needs Python 3.11 or newer" in refused.stderr
    assert "Python 3.9.2" in refused.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_python_without_ensurepip_is_refused_with_the_package_that_brings_it(tmp_path: Path) -> None:
    refused = install(tmp_path, "case $2 in *ensurepip*) exit 1 ;; esac")

    assert (1, 1) == (refused.returncode, len(refused.stderr.splitlines()))
    assert "apt install python3-venv" in refused.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_python_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    refused = install(tmp_path, "exit 127")

    assert (1, 1) == (refused.returncode, len(refused.stderr.splitlines()))
    assert "none found" in refused.stderr
