"""Whether the embedded server answers, asked without a library: the supervisor should stay small."""

from __future__ import annotations

import socket
from pathlib import Path

#: A server on this machine answers at once, or it is busy and is asked again.
SECONDS = 1.0


def answers(path: Path) -> bool:
    """Whether the server at this Unix socket takes commands; one that still loads its data does not."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
