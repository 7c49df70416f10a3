"""Find the user whose process opened a connection from this machine, as Linux shows it in /proc/net/tcp.

Every user of a machine can connect to 127.0.0.1; this tells the users apart without a password. psutil does not show
the user of a socket that belongs to another user's process.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from web import addresses

_TABLES = {4: Path("/proc/net/tcp"), 6: Path("/proc/net/tcp6")}
#: Columns of the tables.
_LOCAL, _REMOTE, _STATE, _UID, _INODE = 1, 2, 3, 7, 9
_ESTABLISHED = "01"
#: The inode of a socket that its process has closed. The kernel then shows user 0, which means nothing.
_CLOSED = "0"


def peer_uid(connection: socket.socket) -> int | None:
    """Return the user id of the process at the other end of a TCP connection.

    Returns:
        The user id; None if that process is on another machine, has closed its socket, or cannot be found.

    """
    if connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    try:
        ours, theirs = connection.getsockname()[:2], connection.getpeername()[:2]
        return _find(_hex(*theirs), _hex(*ours), _TABLES[addresses.parse(theirs[0]).version])
    except (OSError, ValueError, IndexError):
        return None


def _find(local: str, remote: str, table: Path) -> int | None:
    with table.open() as rows:
        for row in rows:
            columns = row.split()
            if columns[_LOCAL] == local and columns[_REMOTE] == remote:
                is_open = columns[_STATE] == _ESTABLISHED and columns[_INODE] != _CLOSED
                return int(columns[_UID]) if is_open else None
    return None


def _hex(address: str, port: int) -> str:
    """Write an address as the tables do: words of four bytes in this processor's byte order."""
    packed = addresses.parse(address).packed
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"
