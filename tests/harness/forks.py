"""Commands of Python that a test runs, as forks of a process that has the libraries: each saves a second of processor time."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from tests.harness.forker import MAX_REQUEST
from tests.harness.polling import GaveUp, patient

FORKER = Path(__file__).with_name("forker.py")
#: Celery and kombu read these when they are imported, and the forker has imported them.
_OF_CELERY = ("REMAP_SIGTERM", "NOSETPS", "CELERY_", "KOMBU_", "EVENT_NOEPOLL")
#: Variables that only a new interpreter heeds, but for those that the forker sees to.
_OF_INTERPRETERS = ("PYTHON", "LD_", "LC_", "LANG", "COVERAGE_", "MALLOC_", "C_FORCE_ROOT", *_OF_CELERY)
_SEEN_TO = frozenset({"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"})


@dataclass(frozen=True)
class Streams:
    """The descriptors that a command gets as its input, output and errors; no input is an empty one."""

    out: int
    err: int
    stdin: int = subprocess.DEVNULL


class Fork:
    """A running command, with as much of `subprocess.Popen` as tests need.

    Args:
        command: An interpreter with `-c` or `-m`, as `can_be_forked` says.
        env: Its environment.
        cwd: Its folder.
        streams: Its descriptors.
        new_session: Whether it begins a session of its own.

    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path, streams: Streams, *, new_session: bool
    ) -> None:
        self.returncode: int | None = None
        self._command = command
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.connect(_forker())
        request = {"args": list(command[1:]), "env": dict(env), "cwd": str(cwd), "new_session": new_session}
        with Path(os.devnull).open("rb") as nothing:
            stdin = nothing.fileno() if streams.stdin == subprocess.DEVNULL else streams.stdin
            socket.send_fds(self._line, [json.dumps(request).encode()], [stdin, streams.out, streams.err])
            self.pid = self._told()

    def poll(self) -> int | None:
        """Return the exit code, the negative number of a signal, or None while it runs."""
        with suppress(BlockingIOError):
            return self._end(0)
        return None

    def wait(self, timeout: float) -> int:
        """Wait so many seconds for the end, and return the exit code as `poll` does."""
        try:
            return self._end(timeout)
        except TimeoutError:
            raise subprocess.TimeoutExpired(self._command, timeout) from None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _end(self, timeout: float) -> int:
        if self.returncode is None:
            self._line.settimeout(timeout)
            self.returncode = self._told()
            self._line.close()
        return self.returncode

    def _told(self) -> int:
        said = self._line.recv(100)
        if not said:
            raise GaveUp("the forker ended")
        return int(said)


def start(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    streams: Streams,
    *,
    new_session: bool = False,
    may_fork: bool = True,
) -> Fork | subprocess.Popen[bytes]:
    """Start a command as a fork, or as a process of its own where a fork would not do the same."""
    if may_fork and can_be_forked(command, env):
        return Fork(command, env, cwd, streams, new_session=new_session)
    return subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=streams.stdin,
        stdout=streams.out,
        stderr=streams.err,
        start_new_session=new_session,
    )


def run(
    command: Sequence[str], *, env: Mapping[str, str] = os.environ, cwd: Path, timeout: float = patient(60)
) -> subprocess.CompletedProcess[str]:
    """Run a command as `subprocess.run` does with `capture_output` and `text`, whatever its exit code."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = start(command, env, cwd, Streams(out.fileno(), err.fileno()))
        try:
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait(timeout)
            raise
        return subprocess.CompletedProcess(command, code, _text(out), _text(err))


def can_be_forked(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether a fork does the same: of Python, in an environment that does not change how Python starts."""
    if (
        sum(map(len, (*command, *env, *env.values()))) > MAX_REQUEST // 4
        or sys.platform != "linux"
        or command[0] != sys.executable
        or command[1] not in {"-c", "-m"}
    ):
        return False
    if "COVERAGE_PROCESS_CONFIG" in env or _heeded(env) != _heeded(_own_environment()):
        return False
    if any("sys.modules" in each for each in command):  # it asks what is loaded
        return False
    return not any((Path(each) / "sitecustomize.py").exists() for each in env.get("PYTHONPATH", "").split(os.pathsep))


def _heeded(env: Mapping[str, str]) -> dict[str, str]:
    return {name: env[name] for name in env if name.startswith(_OF_INTERPRETERS) and name not in _SEEN_TO}


def _own_environment() -> dict[str, str]:
    """Return the environment of the forker: ours, but for what changes how Python runs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@cache
def _forker() -> str:
    """Start the forker of this process, and return its address."""
    folder = Path(tempfile.mkdtemp(prefix="fk-"))
    address = str(folder / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(address)
        door.listen(64)  # before the forker exists: who connects early waits, and is not refused
        child = subprocess.Popen(
            [sys.executable, "-u", str(FORKER), str(door.fileno())],
            env=_own_environment(),
            cwd=folder,
            stdin=subprocess.PIPE,
            pass_fds=[door.fileno()],
        )

    def end() -> None:
        child.communicate()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return address


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")
