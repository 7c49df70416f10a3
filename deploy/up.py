"""`make up`: checks the machine, starts the server and every process of the Procfile, and says where to look."""

from __future__ import annotations

import argparse
import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import settings
from deploy import data_takeover, ping, procfile
from deploy.data_takeover import TakeoverError
from deploy.output import Output
from deploy.process import Process
from deploy.supervisor import SERVER_STOP_SECONDS, STOP_SECONDS, Supervisor
from settings import Settings, SettingsError
from state import private, terminal
from state.files import open_locked

#: The web process answers within a second or two; after this it is more useful to know the addresses than to wait.
ANNOUNCE_SECONDS = 15.0

BIN = Path(sys.executable).parent


class UpError(RuntimeError):
    """Raised when this machine cannot run it now; says what is in the way and what to change."""


def main() -> int:
    """Run until a signal; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.up", description=__doc__)
    parser.add_argument("--procfile", type=Path, default=settings.ROOT / "Procfile")
    try:
        return up(parser.parse_args().procfile)
    except (SettingsError, procfile.ProcfileError, TakeoverError, UpError) as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename or ''}: {error.strerror}"
    print(f"gatehouse: {terminal.lines(problem)}", file=sys.stderr)
    return 1


def up(path: Path) -> int:
    """Run until a signal asks for the end."""
    environment = child_environment()
    chosen = settings.read(environment)
    commands = procfile.read(path)
    output = Output(chosen.log_format == "console", max(map(len, [*commands, "watchdog"])))
    if moved := data_takeover.take_over(chosen):
        output.say(moved)
    lock = take_lock(chosen)
    check_ports(chosen)
    redis = prepare_server(chosen, environment)
    supervisor = Supervisor(
        server=redis,
        ready=lambda: redis is None or ping.answers(settings.embedded_socket(chosen.state_dir)),
        processes=[
            Process(name, ["/bin/sh", "-c", f"exec {command}"], environment) for name, command in commands.items()
        ],
        # It holds the lock as well, so that nobody starts while it still stops what a killed supervisor left.
        watchdog=Process("watchdog", [sys.executable, "-S", "-m", "deploy.watchdog"], environment, keep=[lock]),
        output=output,
        pulses=chosen.run_dir / "pulse",
    )
    supervisor.run(Announcement(chosen, output).make_once)
    return 0


def child_environment() -> dict[str, str]:
    """What every process sees: no empty values (Flower and sh would take them for given), our programs first."""
    given = {name: value for name, value in settings.environment().items() if value.strip()}
    if sys.stdout.isatty():
        given.setdefault("LOG_FORMAT", "console")
    if "PORT" in given:  # the Procfile's line knows it too; here it gets into what we say and check
        given.setdefault("WEB_PORT", given["PORT"])
    return {**given, "PATH": f"{BIN}{os.pathsep}{given.get('PATH', os.defpath)}", "PYTHONUNBUFFERED": "1"}


def take_lock(chosen: Settings) -> int:
    """The descriptor that makes this the only supervisor of its STATE_DIR; the kernel frees it, however we end."""
    private.folder(chosen.run_dir)
    path = chosen.run_dir / "up.lock"
    patience = time.monotonic() + STOP_SECONDS + SERVER_STOP_SECONDS + 1
    while True:
        try:
            lock = open_locked(path, wait=0)
            break
        except BlockingIOError:
            owner = path.read_text()
            if _lives(owner) or time.monotonic() > patience:
                raise UpError(f"already running with STATE_DIR {chosen.state_dir}, pid {owner or 'unknown'}") from None
            time.sleep(0.1)  # killed a moment ago: its watchdog is stopping what it left
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def check_ports(chosen: Settings) -> None:
    """Raise if a port cannot be had; both are held until both are checked, so they cannot be the same one."""
    with ExitStack() as held:
        for variable, host, port in (
            ("WEB_PORT", chosen.web_host, chosen.web_port),
            ("FLOWER_PORT", "127.0.0.1", chosen.flower_port),
        ):
            try:
                family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
                listener = held.enter_context(socket.socket(family))
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
                listener.listen()
            except OSError as error:
                problem = "is in use" if error.errno == errno.EADDRINUSE else f"on {host}: {error.strerror}"
                raise UpError(f"port {port} {problem}; choose another one with {variable}") from error


def prepare_server(chosen: Settings, environment: Mapping[str, str]) -> Process | None:
    """The embedded server, or None when REDIS_URL names one that answers."""
    # Another process looks: redis-py would take 12 MB of this one, which stays for as long as the system runs.
    redis = [sys.executable, "-m", "deploy.redis"]
    looked = subprocess.run(
        [*redis, "--check"], cwd=settings.ROOT, env=dict(environment), stderr=subprocess.PIPE, text=True, check=False
    )
    if looked.returncode:
        raise UpError(looked.stderr.strip().removeprefix("gatehouse: "))
    return Process("redis", redis, environment) if chosen.embedded else None


class Announcement:
    """Where to look, said once: as soon as the web process answers, or when that takes too long."""

    def __init__(self, chosen: Settings, output: Output) -> None:
        self._chosen, self._output = chosen, output
        self._deadline: float | None = None
        self._made = False

    def make_once(self) -> None:
        if self._made:
            return
        self._deadline = self._deadline or time.monotonic() + ANNOUNCE_SECONDS
        answers = self._web_answers()
        if answers or time.monotonic() > self._deadline:
            self._made = True
            self._make(answers=answers)

    def _make(self, *, answers: bool) -> None:
        if not answers:
            self._output.say(f"{self._chosen.web_url} does not answer yet", "warning")
        places = {
            "posts": f"{self._chosen.web_url}/posts/",
            "feed": f"{self._chosen.web_url}/feed.xml",
            "flower": f"http://127.0.0.1:{self._chosen.flower_port}/",
            "state": str(self._chosen.agents_dir),
            "status": f"{_from_here(BIN / 'celery')} -A workers gate status",
        }
        if not self._output.console:
            self._output.say("up", **places)
            return
        self._output.show("up", "Gatehouse is up. Ctrl-C stops it.")
        for name, place in places.items():
            self._output.show("up", f"  {name:<7} {place}")
        password = "DESK_PASSWORD" if self._chosen.desk_password else self._chosen.secrets_dir / "flower-password"
        self._output.show("up", f"  Flower's user is admin, and its password is in {password}.")

    def _web_answers(self) -> bool:
        try:
            socket.create_connection((self._chosen.web_host, self._chosen.web_port), timeout=0.2).close()
        except OSError:
            return False
        return True


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


if __name__ == "__main__":
    sys.exit(main())
