"""`python -m deploy.redis`: become the embedded server of this STATE_DIR, under `make up`, systemd or Docker.

Further options are the server's own:  python -m deploy.redis --maxmemory 96mb
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import settings
from deploy import redis_server
from deploy.redis_server import ServerError
from settings import Settings, SettingsError
from state import terminal

#: Seconds. A server that loads a large file may take longer; then the others start, and wait by themselves.
WAIT_SECONDS = 20.0


def main() -> int:
    """Become the server, or answer a question about it; return the exit code, which is 1 for no."""
    parser = argparse.ArgumentParser(prog="python -m deploy.redis", description=__doc__, allow_abbrev=False)
    parser.add_argument("--wanted", action="store_true", help="exit with 1 if REDIS_URL names another server")
    parser.add_argument("--check", action="store_true", help="exit with 1 and the reason if no server could run here")
    parser.add_argument("--wait", action="store_true", help="return once the server answers")
    arguments, options = parser.parse_known_args()
    try:
        chosen = settings.current()
        if arguments.wanted:
            return int(not chosen.embedded)
        if arguments.wait:
            redis_server.wait_until_ready(chosen, time.monotonic() + WAIT_SECONDS)
        elif arguments.check:
            check(chosen)
        else:
            become_server(chosen, options)
    except (SettingsError, ServerError) as error:
        print(f"gatehouse: {terminal.lines(error)}", file=sys.stderr)
        return 1
    return 0


def check(chosen: Settings) -> None:
    """Raise ServerError unless the embedded server can start here, or the server that REDIS_URL names answers."""
    if chosen.embedded:
        redis_server.find_server()
        redis_server.check_not_running(chosen)
    else:
        redis_server.check_reachable(chosen.redis_url)


def become_server(chosen: Settings, options: list[str]) -> None:
    """Replace this process by the server.

    Args:
        chosen: The settings.
        options: Options of the server, which win over our own because they come last.

    Raises:
        ServerError: If REDIS_URL names another server, or if the embedded one cannot run here.

    """
    if not chosen.embedded:
        raise ServerError("REDIS_URL names a server, so none is started here; remove it to use the embedded one")
    redis_server.check_not_running(chosen)
    os.umask(0o077)  # its append-only file holds the arguments and results of every call
    command = [*redis_server.command(chosen), *options]
    # Redis 7.2 exits if the machine lacks the locale of the environment.
    os.execve(command[0], command, {**settings.environment(), "LC_ALL": "C"})  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    sys.exit(main())
