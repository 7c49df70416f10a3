"""A fresh clone of the project, as a newcomer has it: its own folder, home, virtual environment, data and ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.harness.install import ROOT, http_status
from tests.harness.polling import GaveUp, patient, until
from tests.harness.ports import free_ports
from tests.harness.process import Process

#: What a person's shell has; settings of the developer stay out. pip needs to know where packages come from.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE")
UP = ("make", "--no-print-directory", "up")


class Clone:
    """One clone in `folder`, with the files as they are in the work tree. `close()` stops what runs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "gatehouse"
        self.home = folder / "home"
        self._log = folder / "log"
        self._up: list[Process] = []
        self._copy_files()
        self.env: dict[str, str] = {}
        self.reset()

    def install(self) -> None:
        """Install what `make up` installs, and no more."""
        done = self.run("make .venv/.installed", deadline=300)
        if done.returncode != 0:
            raise AssertionError(f"the clone could not be installed:\n{done.stdout}{done.stderr}")

    def reset(self) -> None:
        """Stop what runs, and make everything but `.venv` as it is after `git clone`, with other ports and a new home."""
        self.down()
        self.git("checkout", "--quiet", ".")
        self.git("clean", "-fdxq", "--exclude=.venv")
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.web_port, self.flower_port = free_ports(2)
        passed = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("PIP_")}
        self.env = {
            **passed,
            "HOME": str(self.home),
            "WEB_PORT": str(self.web_port),
            "FLOWER_PORT": str(self.flower_port),
            "LOG_FORMAT": "json",
        }

    def run(self, command: str, deadline: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command line in the clone, as a person types it."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patient(deadline),
            check=False,
        )

    def up(self, command: Sequence[str] = UP, *, worker: bool = True) -> Process:
        """Run `make up`, and wait until the web process answers and, unless told otherwise, a worker is alive."""
        self.down()
        self._log.mkdir(exist_ok=True)
        log = self._log / f"up-{self.web_port}-{len(self._up)}"
        process = Process("up", command, self.env, self.root, log)
        self._up.append(process)
        path = "readyz" if worker else "healthz"

        def answers() -> bool:
            if not process.alive:
                raise GaveUp(f"{' '.join(command)} ended with {process.returncode}:\n{process.output[-4000:]}")
            return http_status(f"http://127.0.0.1:{self.web_port}/{path}") == 200

        until(answers, 60, f"/{path} of {' '.join(command)}\n{log}")
        return process

    def down(self) -> None:
        """Stop it as Ctrl-C does."""
        for process in (each for each in self._up if each.alive):
            for child in self.processes(""):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.resume()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(30)
            except GaveUp:
                process.kill9()

    def processes(self, word: str) -> list[psutil.Process]:
        """Return what runs under `make up` and has this word in its command line."""
        if not self._up or not self._up[-1].alive:
            return []
        children = psutil.Process(self._up[-1].pid).children(recursive=True)
        return [child for child in children if word in _command_line(child)]

    def git(self, *args: str) -> None:
        subprocess.run(["git", "-C", str(self.root), *args], check=True, capture_output=True)

    def close(self) -> None:
        self.down()

    def _copy_files(self) -> None:
        listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
        for old in self.root.iterdir() if self.root.exists() else ():
            if old.name != ".venv":
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        for name in (name for name in names if name and (ROOT / name).is_file()):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.root / name)
        author = ("-c", "user.name=newcomer", "-c", "user.email=newcomer@example.org")
        for order in (("init", "--quiet"), ("add", "."), (*author, "commit", "--quiet", "--message", "A clone")):
            self.git(*order)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
