"""`make up`: check the machine, start the server and every process of the Procfile, and say where to look."""

from __future__ import annotations

import argparse
import errno
import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import data_dir
import settings
from deploy import data_takeover, ping, preload, procfile
from deploy.data_takeover import TakeoverError
from deploy.log_file import LogFile
from deploy.output import Output, TerminalOutput
from deploy.process import Process, is_running
from deploy.start_check import StartCheck, main_of
from deploy.supervisor import SERVER_STOP_SECONDS, STOP_SECONDS, Supervisor
from settings import Settings, SettingsError
from state import hints, private, terminal
from state.files import open_locked
from state.processes import deaths

#: Seconds. The web process answers within two; after this time the addresses are announced all the same.
ANNOUNCE_SECONDS = 15.0

#: Seconds without a new line on the terminal before the addresses are shown, so that they stay in sight.
QUIET_SECONDS = 2.5

BIN = Path(sys.executable).parent
SERVER = "deploy.redis"
WATCHDOG = Path(__file__).with_name("watchdog.sh")

#: In STATE_DIR/run: what the terminal shows only in short.
LOG_FILE = "up.jsonl"

#: On a terminal, this process shows the JSON lines of the others in short, and Celery's warning about root once.
TERMINAL_ENVIRONMENT = {
    "LOG_FORMAT": "json",
    "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
}
ROOT_WARNING = "  This runs with superuser privileges, which Celery advises against: start it as a user of its own."


class UpError(RuntimeError):
    """Raised when Gatehouse cannot run on this machine now; says what is in the way and what to change."""


def main() -> int:
    """Run until a signal requests the stop; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.up", description=__doc__)
    parser.add_argument("--procfile", type=Path, default=settings.ROOT / "Procfile")
    parser.add_argument("--validate", action="store_true", help="start nothing if a row of the tables cannot work")
    asked = parser.parse_args()
    try:
        return up(asked.procfile, validate=asked.validate)
    except (SettingsError, procfile.ProcfileError, TakeoverError, UpError) as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename or ''}: {error.strerror}"
    print(f"gatehouse: {terminal.lines(problem)}", file=sys.stderr)
    return 1


def up(path: Path, *, validate: bool = False) -> int:
    """Run the processes of a Procfile until a signal requests the stop.

    Args:
        path: The Procfile.
        validate: Whether to end with 1 if `web.validate_config` finds a mistake.

    Returns:
        The exit code.

    Raises:
        SettingsError: If a setting cannot be used.
        ProcfileError: If the Procfile cannot be used.
        TakeoverError: If the data of an earlier version cannot be moved.
        UpError: If a port is in use, a server cannot be reached, or another copy runs with this STATE_DIR.

    """
    environment = child_environment()
    if environment != dict(os.environ):
        # Commands read the settings of a running installation from its processes, and the kernel shows what a process
        # began with. The whole path of Python leaves room for the command lines of forks.
        itself = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, itself, environment)  # noqa: S606 - this program, with its own environment
    chosen = settings.read(environment)
    commands = procfile.read(path)
    moved = data_takeover.take_over(chosen)
    lock = take_lock(chosen)
    output = Output()
    if chosen.log_format == "console":
        environment |= TERMINAL_ENVIRONMENT
        warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")
        output = TerminalOutput([*commands], LogFile(chosen.run_dir / LOG_FILE), colour=has_colours(environment))
    if moved:
        output.log(moved)
    check_ports(chosen)
    processes = [_process(name, command, environment) for name, command in commands.items()]
    preload.prepare(environment, [each.program for each in processes if each.program])
    tables = StartCheck("web.validate_config", [], environment) if validate else None
    server = prepare_server(chosen, environment)
    if tables and (mistakes := tables.finish()):
        sys.stderr.write(mistakes)
        return 1
    supervisor = Supervisor(
        server=server,
        ready=lambda: server is None or ping.answers(data_dir.embedded_socket(chosen.state_dir)),
        processes=processes,
        # It inherits the lock, so that no other copy starts while it stops what a killed supervisor left.
        watchdog=Process("watchdog", ["/bin/sh", str(WATCHDOG)], environment, keep=[lock]),
        output=output,
        pulses=chosen.pulse_dir,
        deaths_file=chosen.run_dir / deaths.FILE,
    )
    supervisor.run(partial(next, announce(chosen, output), False))
    return 0


def _process(name: str, command: str, environment: Mapping[str, str]) -> Process:
    """Return the process of one line of the Procfile: a fork if it can be one, otherwise what the shell starts."""
    found, added = preload.program(command, environment) or (None, {})
    shell = ["/bin/sh", "-c", f"exec {command}"]
    return Process(name, shell, {**environment, **added}, program=found, may_fork=preload.preloaded.is_current)


def child_environment() -> dict[str, str]:
    """Return the environment of every process: without empty values, which Flower and sh take as set, and our PATH."""
    environment = {name: value for name, value in settings.environment().items() if value.strip()}
    if sys.stdout.isatty():
        environment.setdefault("LOG_FORMAT", "console")
    path = environment.get("PATH", os.defpath)
    if path.split(os.pathsep)[0] != str(BIN):
        path = f"{BIN}{os.pathsep}{path}"
    return {**environment, "PATH": path, "PYTHONUNBUFFERED": "1"}


def has_colours(environment: Mapping[str, str]) -> bool:
    """Return whether stdout is a terminal with colours; see no-color.org."""
    return sys.stdout.isatty() and "NO_COLOR" not in environment and environment.get("TERM") != "dumb"


def take_lock(chosen: Settings) -> int:
    """Lock STATE_DIR for this supervisor; the kernel releases the lock when its holders end.

    Returns:
        The descriptor that holds the lock.

    Raises:
        UpError: If another supervisor runs with this STATE_DIR.

    """
    private.folder(chosen.run_dir)
    path = chosen.run_dir / "up.lock"
    deadline = time.monotonic() + STOP_SECONDS + SERVER_STOP_SECONDS + 1
    while True:
        try:
            lock = open_locked(path, wait=0)
            break
        except BlockingIOError:
            owner = path.read_text()
            if (owner.isdecimal() and is_running(int(owner))) or time.monotonic() > deadline:
                raise UpError(f"already running with STATE_DIR {chosen.state_dir}, pid {owner or 'unknown'}") from None
            time.sleep(0.1)  # the owner was killed a moment ago, and its watchdog is stopping what it left
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def check_ports(chosen: Settings) -> None:
    """Raise UpError if a port is not free; both are held until both are checked, so they cannot be the same one."""
    with ExitStack() as listeners:
        for variable, host, port in (
            ("WEB_PORT", chosen.web_host, chosen.web_port),
            ("FLOWER_PORT", "127.0.0.1", chosen.flower_port),
        ):
            try:
                family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
                listener = listeners.enter_context(socket.socket(family))
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
                listener.listen()
            except OSError as error:
                problem = "is in use" if error.errno == errno.EADDRINUSE else f"on {host}: {error.strerror}"
                raise UpError(f"port {port} {problem}; choose another one with {variable}") from error


def prepare_server(chosen: Settings, environment: Mapping[str, str]) -> Process | None:
    """Check that the server can run, or that the one that REDIS_URL names answers.

    Returns:
        The embedded server, not yet started; None if REDIS_URL names another server.

    Raises:
        UpError: If the check fails.

    """
    # A process of its own checks: redis-py would take 12 MB of this one for as long as the system runs.
    if problem := StartCheck(SERVER, ["--check"], environment).finish():
        raise UpError(problem.strip().removeprefix("gatehouse: "))
    if not chosen.embedded:
        return None
    program, may_fork = main_of(SERVER, []), preload.preloaded.is_current
    return Process("redis", [sys.executable, "-m", SERVER], environment, program=program, may_fork=may_fork)


def announce(chosen: Settings, output: Output) -> Iterator[bool]:
    """Show the addresses once the web process answers, or after ANNOUNCE_SECONDS; yield True while it is too early."""
    deadline = time.monotonic() + ANNOUNCE_SECONDS
    while not _web_answers(chosen):
        if time.monotonic() > deadline:
            output.log(f"{chosen.web_url} does not answer yet", "warning")
            break
        yield True
    addresses = {
        "posts": f"{chosen.web_url}/posts/",
        "reports": f"{chosen.web_url}/reports/",
        "feed": f"{chosen.web_url}/feed.xml",
        "flower": f"http://127.0.0.1:{chosen.flower_port}/",
        "state": str(chosen.agents_dir),
        "status": hints.gatehouse("status"),
    }
    if not isinstance(output, TerminalOutput):
        output.log("up", **addresses)
        return
    while output.quiet_seconds < QUIET_SECONDS and time.monotonic() < deadline:
        yield True  # the first runs would push the addresses out of sight
    password = "DESK_PASSWORD" if chosen.desk_password else chosen.secrets_dir / "flower-password"
    addresses["flower"] += f"  user admin, password in {password}"
    lines = [f"  {name:<7}  {address}" for name, address in {**addresses, "log": output.file.path}.items()]
    output.say(
        "\n".join(["", "Gatehouse is up. Ctrl-C stops it.", *lines, *([ROOT_WARNING] if os.geteuid() == 0 else []), ""])
    )


def _web_answers(chosen: Settings) -> bool:
    try:
        socket.create_connection((chosen.web_host, chosen.web_port), timeout=0.2).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
