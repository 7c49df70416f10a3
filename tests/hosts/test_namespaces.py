"""The networks of hosts: each has a line of its own, and what a killed process leaves is removed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import a_namespace
from tests.harness import Process, until
from tests.harness.install import ROOT
from tests.harness.namespaces import Namespace

MAKE = "from tests.harness.namespaces import Namespace\nNamespace('a')\nprint('made', flush=True)\nimport time\ntime.sleep(600)"


def names() -> str:
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def two() -> Iterator[list[Namespace]]:
    with ExitStack() as stack:
        made = [a_namespace(letter) for letter in "xy"]
        for each in made:
            stack.callback(each.close)
        yield made


def test_two_have_addresses_of_their_own_and_leave_nothing(two: list[Namespace]) -> None:
    assert len({each.here for each in two} | {each.there for each in two}) == 4

    for each in two:
        each.close()

    assert not any(each.name in names() for each in two)


def test_what_a_killed_process_left_is_removed_by_the_next(two: list[Namespace], tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", MAKE]
    other = Process("maker", command, env, ROOT, tmp_path / "log", may_fork=False)
    until(lambda: "made" in other.output, 20, "its namespace")
    left = f"gh{other.pid}a"
    assert left in names()
    other.kill9()
    next_ = a_namespace("z")
    try:
        assert left not in names()
        assert next_.name in names()
    finally:
        next_.close()
