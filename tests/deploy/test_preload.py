"""Forks of `make up`: what they have of the program that they stand for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from deploy import preload
from tests.deploy.tools import ROOT
from tests.harness import patient

ENVIRONMENT = {"PATH": os.environ["PATH"], "LEVEL": "warning"}
FORKING = """
import json, os, signal, sys
from deploy import preload

def look():
    print(json.dumps({
        "argv": sys.argv, "cmdline": open("/proc/self/cmdline").read().rstrip("\\0").split("\\0"), "env": dict(os.environ),
        "open": sorted(int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")),
        "leads": os.getsid(0) == os.getpid(), "term": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "input": sys.stdin.read(), "cwd": os.getcwd(),
    }))

signal.signal(signal.SIGTERM, signal.SIG_IGN)
foreign = os.dup(1)
os.environ["ONLY_OF_THE_PARENT"] = "1"
run = RUN
fork = preload.Fork(preload.Program(["celery", "-A", "workers", "beat"], run), {"LEVEL": "info"}, -3, None, ())
code = fork.wait()
print(json.dumps({"code": code, "again": fork.poll()}))
"""

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux shows what a process is here")


def forked(run: str, *room: str) -> tuple[list[dict[str, Any]], str]:
    """Fork a function; return what it and its parent printed as JSON, and what was printed as errors."""
    code = FORKING.replace("RUN", textwrap.dedent(run))
    ended = subprocess.run(
        [sys.executable, "-c", code, *room], cwd=ROOT, capture_output=True, text=True, check=True, timeout=patient(60)
    )
    return [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr


@linux
def test_a_fork_has_nothing_of_its_parent_that_a_new_program_would_not_have() -> None:
    (seen, parent), _ = forked("look")

    assert {"code": 0, "again": 0} == parent
    assert {"LEVEL": "info"} == seen["env"]
    assert [0, 1, 2] == seen["open"]
    assert seen["leads"]
    assert seen["term"]
    assert "" == seen["input"]
    assert str(ROOT) == seen["cwd"]


@linux
def test_a_fork_is_seen_as_the_program_that_it_stands_for() -> None:
    (seen, _), _ = forked("look")

    assert ["celery", "-A", "workers", "beat"] == seen["cmdline"]


@pytest.mark.parametrize(
    ("run", "code", "error"),
    [
        ("lambda: None", 0, ""),
        ("lambda: 3", 3, ""),
        ("lambda: sys.exit()", 0, ""),
        ("lambda: sys.exit(4)", 4, ""),
        ("lambda: sys.exit('what is wrong')", 1, "what is wrong\n"),
        ("lambda: os.kill(os.getpid(), 9)", -9, ""),
        ("lambda: os.kill(os.getpid(), 15)", -15, ""),
    ],
)
def test_a_fork_ends_as_its_program_would(run: str, code: int, error: str) -> None:
    (parent,), said = forked(run)

    assert (code, error) == (parent["code"], said)


def test_an_error_in_a_fork_shows_its_traceback() -> None:
    (parent,), said = forked("lambda: 1 / 0")

    assert 1 == parent["code"]
    assert said.startswith("Traceback")
    assert said.endswith("ZeroDivisionError: division by zero\n")


def test_a_fork_runs_its_exit_functions_and_waits_for_its_threads() -> None:
    run = """lambda: (
        __import__("atexit").register(print, '{"told": "at exit"}'),
        __import__("threading").Timer(0.2, print, ['{"told": "by a thread"}']).start(),
    ) and None"""
    told, _ = forked(run)

    assert ["by a thread", "at exit"] == [each["told"] for each in told[:2]]
    assert 0 == told[2]["code"]


def test_a_command_is_read_as_the_shell_reads_it() -> None:
    found = preload.program("env REMAP_SIGTERM=SIGQUIT celery -A workers beat --loglevel ${LEVEL:-info}", ENVIRONMENT)

    assert found
    program, added = found
    assert ["celery", "-A", "workers", "beat", "--loglevel", "warning"] == program.words
    assert {"REMAP_SIGTERM": "SIGQUIT"} == added


@pytest.mark.parametrize(
    "command",
    [
        "sleep 600",
        "celery -A workers beat; echo ended",
        "celery -A workers beat && true",
        "celery -A workers beat > log",
        "celery -A workers beat $(echo --quiet)",
        "celery -A workers beat `echo --quiet`",
        "celery 'unfinished",
        "./celery -A workers beat",
        "env A=1",
    ],
)
def test_what_is_not_a_single_console_script_is_left_to_the_shell(command: str) -> None:
    assert preload.program(command, ENVIRONMENT) is None


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> preload.Preloaded:
    """Preload a module that the test wrote."""
    (tmp_path / "shared_here.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(preload, "SHARED", "shared_here")
    found = preload.Preloaded()
    found.load()
    return found


def test_a_file_that_changed_since_is_not_what_a_fork_runs(loaded: preload.Preloaded, tmp_path: Path) -> None:
    assert loaded.is_current()
    file = tmp_path / "shared_here.py"

    os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 60_000_000_000))

    assert not loaded.is_current()


def test_without_what_cannot_be_imported_nothing_is_forked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken_here.py").write_text("raise SystemExit('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(preload, "SHARED", "broken_here")
    found = preload.Preloaded()

    found.load()

    assert not found.is_current()
