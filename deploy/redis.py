"""`python -m deploy.redis`: becomes the embedded server of this STATE_DIR; `make up`, systemd or Docker keep it running.

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

#: A server that loads a large file may take longer; then the others start, and wait by themselves.
WAIT_SECONDS = 20.0


def main() -> int:
    """Run the server, or answer a question about it; answers the exit code, which is 1 for no."""
    parser = argparse.ArgumentParser(prog="python -m deploy.redis", description=__doc__, allow_abbrev=False)
    parser.add_argument("--wanted", action="store_true", help="exit with 1 if REDIS_URL names another server")
    parser.add_argument("--check", action="store_true", help="exit with 1, and say why, if it could not run here")
    parser.add_argument("--wait", action="store_true", help="return once the server answers")
    given, options = parser.parse_known_args()
    try:
        chosen = settings.current()
        if given.wanted:
            return 0 if chosen.embedded else 1
        if given.wait:
            redis_server.wait_until_ready(chosen, time.monotonic() + WAIT_SECONDS)
            return 0
        if given.check:
            check(chosen)
            return 0
        become_server(chosen, options)
    except (SettingsError, ServerError) as error:
        print(f"gatehouse: {terminal.lines(error)}", file=sys.stderr)
    return 1


def check(chosen: Settings) -> None:
    """Raise unless the server of this STATE_DIR can be started, or the one that REDIS_URL names answers."""
    if chosen.embedded:
        redis_server.find_server()
        redis_server.check_not_running(chosen)
    else:
        redis_server.check_reachable(chosen.redis_url)


def become_server(chosen: Settings, options: list[str]) -> None:
    """Never returns: this process is the server from here on. `options` stand behind our own and win over them."""
    if not chosen.embedded:
        raise ServerError("REDIS_URL names a server, so none is started here; remove it to use the embedded one")
    redis_server.check_not_running(chosen)
    os.umask(0o077)  # its append-only file holds all that was ever said to the agents
    command = [*redis_server.command(chosen), *options]
    # Redis 7.2 exits when the machine lacks the locale that the environment asks for.
    os.execve(command[0], command, {**settings.environment(), "LC_ALL": "C"})  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    sys.exit(main())
