"""The lock agrees with pyproject.toml, names no index, and is what a server installs; the audit fails for what it cannot look up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.tools import DEPLOY, ROOT, run

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
TEXT = (DEPLOY / "requirements.txt").read_text()
WANTED: list[str] = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]

#: One locked package: its line, its hashes, and the packages that need it.
LOCKED = re.compile(
    r"^(?P<line>[a-z0-9][^\s\\]*==[^\\\n]*?) ?\\\n"
    r"(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
    r"(?P<via>(?:    # .*\n)+)",
    re.MULTILINE,
)

MACHINES = [
    {
        "sys_platform": system,
        "platform_machine": machine,
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    for system, machines in {"linux": ("x86_64", "aarch64"), "darwin": ("x86_64", "arm64")}.items()
    for machine in machines
    for python in ("3.11", "3.12", "3.13", "3.14")
]


def locked() -> list[Requirement]:
    return [Requirement(found["line"]) for found in LOCKED.finditer(TEXT)]


def test_the_lock_was_made_from_the_current_dependencies() -> None:
    direct = {Requirement(found["line"]).name for found in LOCKED.finditer(TEXT) if "gatehouse (" in found["via"]}

    assert direct == {canonicalize_name(Requirement(text).name) for text in WANTED}, "run: make lock"


def test_the_lock_includes_the_build_requirements() -> None:
    assert PROJECT["dependency-groups"]["build"] == PROJECT["build-system"]["requires"]


def test_every_line_of_the_lock_is_a_package_with_hashes() -> None:
    rest = LOCKED.sub("", TEXT)

    assert [line for line in rest.splitlines() if line and not line.startswith("#")] == []
    assert len(locked()) > 40


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: " ".join(m.values()))
def test_every_dependency_is_locked_once_on_every_machine_to_a_version_that_pyproject_allows(
    machine: dict[str, str],
) -> None:
    here = [found for found in locked() if found.marker is None or found.marker.evaluate(machine)]
    versions = {canonicalize_name(found.name): next(iter(found.specifier)).version for found in here}
    wanted = [Requirement(text) for text in WANTED]

    assert len(versions) == len(here)
    for each in wanted:
        assert each.marker is None or isinstance(each.marker, Marker)
        assert each.specifier.contains(versions[canonicalize_name(each.name)]), each


def test_the_lock_names_no_index_and_no_file_of_this_machine() -> None:
    assert re.findall(r"://|--index|--extra|--find-links|--trusted|file:|/(?:opt|home|root|work|tmp)/", TEXT) == []


@pytest.mark.parametrize("name", ["install.sh", "Dockerfile"])
def test_a_server_installs_nothing_without_a_hash(name: str) -> None:
    text = (DEPLOY / name).read_text()

    assert "--require-hashes --requirement" in text
    assert "requirements.txt" in text
    assert "--no-deps --no-build-isolation" in text


# The audit


def recipe(*arguments: str) -> str:
    """Return the command that `make audit` runs."""
    shown = run("make", "--dry-run", "audit", *arguments).stdout
    return next(line for line in shown.splitlines() if "bin/pip-audit" in line)


def test_the_audit_fails_for_a_package_that_cannot_be_looked_up() -> None:
    assert " --strict " in recipe()
    assert "--requirement deploy/requirements.txt" in recipe()


@pytest.mark.parametrize(
    ("printed", "code", "expected"),
    [
        ("No known vulnerabilities found", 0, 0),
        ("Found 2 known vulnerabilities in 1 package", 1, 1),
        ("Found 1 known vulnerability in 1 package", 1, 1),
        ("requests.exceptions.ConnectionError: no answer", 1, 0),
    ],
)
def test_the_run_of_ci_fails_for_a_vulnerability_and_not_for_what_cannot_be_looked_up(
    tmp_path: Path, printed: str, code: int, expected: int
) -> None:
    for name, lines in {  # this test installs nothing and runs nothing of the project
        "tools/make": f'case $1 in audit) echo "{printed}"; exit {code};; esac',
        "tools/id": "echo 1000",
        ".venv/bin/python": "exit 77",
    }.items():
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{lines}\n")
        program.chmod(0o755)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    path = f"{tmp_path}/tools{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run([tmp_path / ".ci" / "run"], env={"PATH": path}, capture_output=True, text=True, check=False)

    assert (done.returncode, printed in done.stdout) == (expected, True), done.stderr
    assert ("NOT CHECKED" in done.stdout) is (code != expected)
