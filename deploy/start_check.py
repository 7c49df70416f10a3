"""Run the `main` of a Python module before anything else is started: as a fork if the shared packages are loaded."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from deploy.preload import Fork, Program, preloaded
from settings import ROOT


class StartCheck:
    """A running check, whose output is kept.

    Args:
        module: The name of the module; its `main` returns an exit code.
        arguments: The arguments of its command line.
        environment: Its environment.

    """

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._output, theirs = os.pipe()
        self._child: Fork | subprocess.Popen[bytes]
        try:
            if preloaded.is_current():
                self._child = Fork(main_of(module, arguments), environment, subprocess.DEVNULL, theirs, ())
            else:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", module, *arguments],
                    cwd=ROOT,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=theirs,
                    stderr=subprocess.STDOUT,
                )
        finally:
            os.close(theirs)

    def finish(self) -> str:
        """Wait for its end; return what it said if it failed, which has at least one line, or ""."""
        with os.fdopen(self._output, encoding="utf-8", errors="replace") as output:
            said = output.read()
        code = self._child.wait()
        return (said or f"gatehouse: a check ended with {code}\n") if code else ""


def main_of(module: str, arguments: Sequence[str]) -> Program:
    """Return the program that `python -m` would run for a module with a `main`."""
    return Program([sys.executable, "-m", module, *arguments], partial(_run, module, arguments))


def _run(module: str, arguments: Sequence[str]) -> object:
    sys.argv = [module, *arguments]
    return importlib.import_module(module).main()
