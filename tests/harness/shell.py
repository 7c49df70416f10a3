"""A Python process of an installation that stays: snippets run in it without the second that each start costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from typing import Any

from tests.harness import forks
from tests.harness.install import LOAD_APP, Install

#: Reads one JSON text per line, runs it, and answers with the value of `answer`, or with what went wrong.
LOOP = """
import io, json, os, sys, traceback
talk = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    names = {"app": app, "json": json, "answer": None}
    try:
        exec(json.loads(line), names)
        said = {"answer": names["answer"]}
    except BaseException:
        said = {"problem": traceback.format_exc()}
    talk.write(json.dumps(said, default=str) + "\\n")
    talk.flush()
"""


class Shell:
    """`run` code that sets `answer`; `app` is loaded, and what is imported stays imported."""

    def __init__(self, install: Install) -> None:
        self.log = install.folder / "log" / "shell"
        asked, ask = os.pipe()
        say, said = os.pipe()
        with self.log.open("ab") as output, os.fdopen(asked, "rb") as asked_from, os.fdopen(said, "wb") as said_to:
            streams = forks.Streams(said_to.fileno(), output.fileno(), asked_from.fileno())
            command = [sys.executable, "-c", LOAD_APP + LOOP]
            self._child = forks.start(command, install.env, install.root, streams)
        self._ask, self._said = os.fdopen(ask, "w"), os.fdopen(say)

    def run(self, code: str, **names: Any) -> Any:
        """Run a snippet with these JSON values in it; answers what it put into `answer`."""
        given = "".join(f"{name} = json.loads({json.dumps(value)!r})\n" for name, value in names.items())
        self._ask.write(json.dumps(given + textwrap.dedent(code)) + "\n")
        self._ask.flush()
        line = self._said.readline()
        assert line, f"the shell ended:\n{self.log.read_text()}"
        said = json.loads(line)
        assert "problem" not in said, said["problem"]
        return said["answer"]

    def delay(self, task: str, *calls: dict[str, Any]) -> list[str]:
        """Start a task once per set of arguments through `.delay()`; answers the call ids."""
        ids: list[str] = self.run(
            "answer = [app.tasks[task].delay(**kwargs).id for kwargs in calls]", task=task, calls=list(calls)
        )
        return ids

    def celery(self, *args: str) -> subprocess.CompletedProcess[str]:
        """`celery -A workers …` as a person types it, without the second that its start takes."""
        code, out, err = self.run(
            """
            from celery.bin.celery import celery
            from click.testing import CliRunner
            done = CliRunner().invoke(celery, ["-A", "workers", *args], prog_name="celery")
            if done.exception and not isinstance(done.exception, SystemExit):
                raise done.exception
            answer = [done.exit_code, done.stdout, done.stderr]
            """,
            args=args,
        )
        return subprocess.CompletedProcess(["celery", *args], code, out, err)

    def gate(self, *args: str) -> Any:
        """`celery -A workers gate … --json`, which must succeed; answers what it printed."""
        done = self.celery("gate", *args, "--json")
        assert done.returncode == 0, f"{args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def close(self) -> None:
        self._ask.close()
        self._child.send_signal(signal.SIGKILL)
        self._child.wait(10)
        self._said.close()
