"""Start Python programs of the Procfile as forks of this process, which has imported what they share.

Worker, beat, Flower and the web process import the same packages. What was imported before a fork is in memory once, and
is not imported again. A fork runs the function that the program's console script would run, with the same arguments,
environment and command line; a program that is not a console script of this environment is started by the shell.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import NoReturn

import settings
from deploy import wake_up
from settings import ROOT

#: Imported before the first fork.
SHARED = "deploy.shared"

#: Only a single command can be a fork; the shell runs everything else.
_NOT_ONE_COMMAND = re.compile(r"[;|&<>()`\n]")
_BIN = Path(sys.executable).parent
#: Descriptors 0 to 2 are the fork's own; it closes all others.
_FIRST_FOREIGN = 3


@dataclass
class Preloaded:
    """The packages that forks share, once `load` was called."""

    since: float = 0.0  #: when they were imported, in seconds since 1970
    _files: list[Path] = field(default_factory=list)

    def load(self) -> None:
        """Import the shared packages. If they cannot be imported, nothing is forked, and each program says why itself."""
        before = time.time()
        try:
            importlib.import_module(SHARED)
        except (Exception, SystemExit):  # noqa: BLE001 - an agent's module may raise anything
            return
        own = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        self._files = [Path(file) for file in own if file]
        self.since = before

    def is_current(self) -> bool:
        """Return whether the packages are loaded, and none of their files has changed since."""
        try:
            return bool(self.since) and all(file.stat().st_mtime <= self.since for file in self._files)
        except OSError:
            return False


preloaded = Preloaded()


def prepare(environment: Mapping[str, str], programs: Iterable[Program]) -> None:
    """Import what the programs share, if there are any.

    Args:
        environment: That of the programs. It becomes the one of this process, because a package may read it.
        programs: What will be forked.

    """
    if not any(programs):
        return
    os.environ.update(environment)
    settings.current.cache_clear()
    gc.disable()  # a tenth of the time; what is imported stays
    preloaded.load()
    gc.enable()
    gc.collect()
    gc.freeze()  # the collector would write to the pages of every object, and so copy them in each fork


@dataclass(frozen=True)
class Program:
    """A function that a fork runs, and the command line under which the fork is seen."""

    words: Sequence[str]
    run: Callable[[], object]


def program(command: str, environment: Mapping[str, str]) -> tuple[Program, dict[str, str]] | None:
    """Return the program of a Procfile command, and the variables that an `env` before it sets.

    Args:
        command: The command.
        environment: The environment in which the shell expands its variables.

    Returns:
        None if it is not a single command, or if its program is not a console script of this environment.

    """
    if _NOT_ONE_COMMAND.search(command):
        return None
    expanded = subprocess.run(
        ["/bin/sh", "-c", f"printf '%s\\0' {command}"],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    words = expanded.stdout.split("\0")[:-1]
    added = {}
    if words[:1] == ["env"]:
        words = words[1:]
        while words and "=" in words[0]:
            name, _, added[name] = words.pop(0).partition("=")
    if expanded.returncode or not words or not (_BIN / words[0]).is_file():
        return None
    script = next(iter(metadata.entry_points(group="console_scripts", name=words[0])), None)
    return (Program(words, partial(_run_script, script, words)), added) if script else None


def _run_script(script: metadata.EntryPoint, words: Sequence[str]) -> object:
    sys.argv = [str(_BIN / words[0]), *words[1:]]
    return script.load()()


class Fork:
    """A running fork, with as much of `subprocess.Popen` as the supervisor needs.

    Args:
        program: What it runs.
        environment: Its environment.
        stdin: A descriptor for its input.
        stdout: A descriptor for its output and its errors; None leaves it those of this process.
        keep: Descriptors that it inherits.

    """

    def __init__(
        self, program: Program, environment: Mapping[str, str], stdin: int, stdout: int | None, keep: Sequence[int]
    ) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become(program, environment, stdin, stdout, keep)

    def poll(self) -> int | None:
        """Return the exit code, the negative number of a signal, or None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """Wait for the end, and return the exit code as `poll` does."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


def _become(
    program: Program, environment: Mapping[str, str], stdin: int, stdout: int | None, keep: Sequence[int]
) -> NoReturn:
    """Run a program in this fork, and end it."""
    code = 1
    try:
        _leave_parent(stdin, stdout, keep)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(ROOT)
        _show_as(program.words)
        code = _exit_code(program.run())
    except SystemExit as ending:
        code = _exit_code(ending.code)
    except BaseException:  # noqa: BLE001 - as the interpreter does with what nothing catches
        traceback.print_exc()
    finally:
        _end(code)


def _leave_parent(stdin: int, stdout: int | None, keep: Sequence[int]) -> None:
    """Give up what a fork has of its parent and a new program would not have: session, signals, descriptors."""
    os.setsid()
    wake_up.uninstall()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if stdin == subprocess.DEVNULL:
        stdin = os.open(os.devnull, os.O_RDONLY)
    os.dup2(stdin, 0)
    if stdout is not None:
        os.dup2(stdout, 1)
        os.dup2(stdout, 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=True)
    first = _FIRST_FOREIGN
    for kept in sorted(keep):
        os.closerange(first, kept)
        first = kept + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def _show_as(words: Sequence[str]) -> None:
    """Replace the command line that `ps` shows, in the memory where the kernel reads it; as many words as fit (Linux)."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc(5)
        shown = list(words)
        while len("\0".join(shown)) >= end - start:
            shown.pop()
        ctypes.memmove(start, "\0".join(shown).encode().ljust(end - start, b"\0"), end - start)


def _exit_code(value: object) -> int:
    """Return the exit code of a program that returned this, or passed it to `sys.exit`."""
    if value is None or isinstance(value, int):
        return int(value or 0) & 0xFF
    sys.stderr.write(f"{value}\n")
    return 1


def _end(code: int) -> NoReturn:
    """End this fork as an interpreter ends: wait for its threads, run its exit functions, and return to nobody."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way to end a fork
        atexit._run_exitfuncs()  # noqa: SLF001 - likewise
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
