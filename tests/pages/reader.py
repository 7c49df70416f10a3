"""The reader of a page: types each command into one terminal of a fresh clone, and leaves `make up` running in another."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from pathlib import Path

from tests.harness.polling import patient
from tests.night.house import House
from tests.night.situations import SITUATIONS
from tests.pages.reading import Page, Step

#: Commands that run until they are stopped.
STAYS = re.compile(r"(^|\s)(make up|.venv/bin/python -m deploy\.up\b.*)$")
#: Seconds. Pages say "within seconds": a reader repeats a command that comes too early.
AGAIN = 20.0
PAUSE = 1.0


class Problem(AssertionError):
    """Raised when a command of a page did not end as the page says."""


class Reader:
    """Reads one page. The environment and the folder stay from command to command, as in a terminal."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._cwd = house.root
        self._kept = house.home / ".kept"

    def read(self, page: Page) -> None:
        """Do what the page says, in its order."""
        self.prepare(page)
        self.type_commands(page)

    def prepare(self, page: Page) -> None:
        """Produce the page's situation; a page without one finds the system running, unless it starts it itself."""
        if page.situation:
            SITUATIONS[page.situation].produce(self._house)
        elif not any(STAYS.search(_without_comment(step.text)) for step in page.steps):
            self._house.up()

    def type_commands(self, page: Page) -> None:
        """Do the steps of a page whose situation is there."""
        for step in page.steps:
            self._do(step)

    def _do(self, step: Step) -> None:
        if step.kind == "run":
            self._run(step)
            return
        path = Path(step.path.replace("~", str(self._house.home)))
        path = path if path.is_absolute() else self._cwd / path
        before = path.read_text() if step.kind == "append" else ""
        path.write_text(before + step.text)

    def _run(self, step: Step) -> None:
        command = _without_comment(step.text).replace("127.0.0.1:8000", f"127.0.0.1:{self._house.web_port}")
        command = command.replace("127.0.0.1:5555", f"127.0.0.1:{self._house.flower_port}")
        if STAYS.search(command):
            self._house.up(["bash", "-c", command], worker=command.endswith("make up"))
            return
        end = time.monotonic() + patient(AGAIN) / 3
        while (done := self._type(command)).returncode != step.code:
            if time.monotonic() > end:
                raise Problem(f"{command}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
            time.sleep(PAUSE)

    def _type(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command, and keep what it exported and where it went."""
        kept = shlex.quote(str(self._kept))
        done = self._house.run(
            f"cd {shlex.quote(str(self._cwd))} && eval {shlex.quote(command)}\n"
            f"code=$?; {{ pwd; declare -px; set | grep '^[a-z_]*='; }} > {kept}; exit $code"
        )
        if self._kept.exists():
            self._keep(self._kept.read_text())
        return done

    def _keep(self, text: str) -> None:
        folder, *lines = text.splitlines()
        self._cwd = Path(folder)
        for line in lines:
            name, equals, value = line.removeprefix("declare -x ").partition("=")
            if equals and (line.startswith("declare -x ") or re.fullmatch(r"[a-z]\w*", name)):
                self._house.env[name] = "".join(shlex.split(value)) if value else ""


def _without_comment(command: str) -> str:
    return re.sub(r"\s+# .*$", "", command) if "\n" not in command else command
