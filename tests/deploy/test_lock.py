"""The lock agrees with pyproject.toml, names no index, and is what a server installs; the audit never claims what it did not see."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy import audit, lock
from tests.deploy.tools import DEPLOY, ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
TEXT = lock.LOCK.read_text()

#: One locked package: its line, and its hashes below it.
LOCKED = re.compile(
    r"^(?P<line>[a-z0-9][^\s\\]*==[^\\\n]*?) ?\\\n(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
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


def test_the_lock_was_made_from_the_dependencies_that_there_are() -> None:
    made_from = lock.digest(lock.requirements(PROJECT))

    assert f"{lock.MADE_FROM}{made_from}\n" in TEXT, "the dependencies have changed; run: make lock"


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
    wanted = [Requirement(text) for text in lock.requirements(PROJECT)]

    assert len(versions) == len(here)
    for each in wanted:
        assert each.marker is None or isinstance(each.marker, Marker)
        assert each.specifier.contains(versions[canonicalize_name(each.name)]), each


def test_the_lock_names_no_index_and_no_file_of_this_machine() -> None:
    assert re.findall(r"://|--index|--extra|--find-links|--trusted|file:|/(?:opt|home|root|work|tmp)/", TEXT) == []


@pytest.mark.parametrize("name", ["install.sh", "Dockerfile"])
def test_what_installs_a_server_takes_nothing_without_a_hash(name: str) -> None:
    text = (DEPLOY / name).read_text()

    assert "--require-hashes --requirement" in text
    assert "requirements.txt" in text
    assert "--no-deps --no-build-isolation" in text


# The audit

GOOD = {"name": "amqp", "version": "5.4.2", "vulns": []}
BAD = {"name": "kombu", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]}]}
SKIPPED = {"name": "celery", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        ([GOOD], audit.CLEAN, "1 packages were looked up"),
        ([GOOD, BAD], audit.VULNERABLE, "kombu 1.0: PYSEC-1, fixed in 1.1, 2.0"),
        ([GOOD, BAD, SKIPPED], audit.VULNERABLE, "kombu"),
        ([GOOD, SKIPPED], audit.NOT_CHECKED, "NOT CHECKED, 1 packages"),
        ([SKIPPED], audit.NOT_CHECKED, "not found"),
        ([], audit.NOT_CHECKED, "NOT CHECKED, all"),
    ],
)
def test_the_audit_is_passed_only_if_every_package_was_looked_up(
    packages: list[dict[str, Any]], code: int, says: str
) -> None:
    found, words = audit.verdict(json.dumps({"dependencies": packages}), "")

    assert found == code
    assert says in words


@pytest.mark.parametrize("said", ["", "{", "[]", "null", '{"dependencies": null}', '{"fixes": []}'])
def test_an_answer_that_is_none_is_not_a_pass(said: str) -> None:
    code, words = audit.verdict(said, "Traceback\nConnectionError: no route")

    assert code == audit.NOT_CHECKED
    assert "ConnectionError: no route" in words


def test_the_run_of_ci_fails_for_a_vulnerability_and_not_for_a_database_that_is_away() -> None:
    script = (ROOT / ".ci" / "run").read_text()

    assert "deploy.audit || code=$?" in script
    assert f'[ "$code" -ne {audit.CLEAN} ] && [ "$code" -ne {audit.NOT_CHECKED} ]' in script
