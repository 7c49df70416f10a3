"""Ping the embedded server without redis-py, which would take 12 MB of the supervisor's memory."""

from __future__ import annotations

import socket
from pathlib import Path

#: Seconds. A server on this machine answers at once; a busy one is asked again.
TIMEOUT = 1.0


def answers(path: Path) -> bool:
    """Return whether the server at this Unix socket takes commands; one that still loads its data does not."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
