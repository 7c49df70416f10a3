"""A real PostgreSQL server for tests, on a port of the loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.harness.polling import GaveUp, patient, until
from tests.harness.ports import free_ports
from tests.harness.process import Process
from tests.harness.valkey import ServerMissing

USER = "gate"


def binaries() -> Path:
    """Return the folder of the newest server's programs: Debian does not put them on PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("postgres")
    if not found and not on_path:
        raise ServerMissing("no PostgreSQL server found: install the package postgresql")
    return (found[-1] if found else Path(on_path or "")).parent


class Postgres:
    """A server with a folder of its own; it refuses to run as root, so root starts it as another user."""

    def __init__(self, folder: Path | None = None, *, options: Mapping[str, str] | None = None) -> None:
        self._binaries = binaries()
        self.folder = folder or Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        [self.port] = free_ports(1)
        self._options = dict(options or {})
        self._process: Process | None = None
        if not self.data.exists():
            self._own(self.folder)
            self._run(
                "initdb", "-D", str(self.data), "-U", USER, "--auth=trust", "--locale=C", "-E", "UTF8", "--no-sync"
            )

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> Postgres:
        """Start and wait until it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            **self._options,
        }
        words = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [*_as_another_user(), str(self._binaries / "postgres"), "-D", str(self.data), *words]
        self._process = Process("postgres", command, _environment(), self.folder, self.folder / "log")
        until(self._answers, what="the PostgreSQL server to answer")
        return self

    def kill9(self) -> None:
        """Kill every process of it."""
        family = self._family()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=patient(30))
        self._running().wait()

    def kill9_one(self) -> None:
        """Kill the process of one connection of Gatehouse; the server then ends all others and recovers, as from a crash."""
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'gatehouse' ORDER BY random() LIMIT 1"
        [[pid]] = self.sql(query)
        psutil.Process(pid).kill()

    @property
    def alive(self) -> bool:
        """Whether the server's first process runs."""
        return self._running().alive

    def stop(self) -> None:
        """Shut down cleanly, whoever is connected."""
        self._run("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w")
        self._running().wait()

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill9()
        self.start()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Stop every process of it for the length of the block."""
        family = self._family()
        for process in family:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in family:
                process.send_signal(signal.SIGCONT)

    def standby(self, name: str, port: int = 0) -> Postgres:
        """Return a running standby of this server, which it reaches at this port or at the server's own."""
        folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._own(folder)
        source = f"host=127.0.0.1 port={port or self.port} user={USER} application_name={name}"
        self._run("pg_basebackup", "-D", str(folder / "data"), "-d", source, "-X", "stream", "-c", "fast", "-R", "-N")
        return Postgres(folder).start()

    def promote(self) -> None:
        """Make a standby the primary."""
        self._run("pg_ctl", "promote", "-D", str(self.data), "-w")

    def set(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.sql("SELECT pg_reload_conf()")
        until(lambda: self.sql(f"SHOW {name}")[0][0] == value, what=f"{name} to be {value}")

    def sql(self, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with psycopg.connect(self.url_of(database), autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """End the server and remove its folder."""
        if self._process is not None and self._process.alive:
            self.kill9()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _family(self) -> list[psutil.Process]:
        parent = psutil.Process(self._running().pid)
        return [parent, *parent.children(recursive=True)]

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("start the PostgreSQL server first")
        return self._process

    def _answers(self) -> bool:
        if not self._running().alive:
            raise GaveUp(f"the PostgreSQL server ended:\n{self._running().output}")
        return self.sql("SELECT 1") == [(1,)]

    def _own(self, folder: Path) -> None:
        if os.getuid() == 0:
            user = pwd.getpwnam(_user())
            os.chown(folder, user.pw_uid, user.pw_gid)

    def _run(self, program: str, *words: str) -> None:
        command = [*_as_another_user(), str(self._binaries / program), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=_environment(), cwd="/", timeout=patient(60)
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _environment() -> Mapping[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _user() -> str:
    """Return the user as whom root starts the server."""
    names = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _as_another_user() -> list[str]:
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam(_user())
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
