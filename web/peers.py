"""Whose process is at the other end of a connection on this machine: the kernel knows, and Linux tells.

Every user of a machine can reach 127.0.0.1; this is how one of them is told from the others without a password.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from pathlib import Path

_TABLES = {4: Path("/proc/net/tcp"), 6: Path("/proc/net/tcp6")}
#: Columns of the tables: own address, other address, state, user, number of the socket.
_OWN, _OTHER, _STATE, _USER, _SOCKET = 1, 2, 3, 7, 9
_ESTABLISHED = "01"
#: The number of a socket that its process has closed; the kernel then says user 0, which means nothing.
_CLOSED = "0"


def user_of(connection: socket.socket) -> int | None:
    """The user id of the process that connected to us; None if it is on another machine, gone, or cannot be known."""
    if connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    try:
        here, there = connection.getsockname()[:2], connection.getpeername()[:2]
        return _find(_written(*there), _written(*here), _table(there[0]))
    except (OSError, ValueError, IndexError):
        return None


def _find(own: str, other: str, table: Path) -> int | None:
    with table.open() as rows:
        for row in rows:
            words = row.split()
            if words[_OWN] == own and words[_OTHER] == other:
                is_held = words[_STATE] == _ESTABLISHED and words[_SOCKET] != _CLOSED
                return int(words[_USER]) if is_held else None
    return None


def _table(address: str) -> Path:
    return _TABLES[_plain(address).version]


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address; an IPv4 one that a socket for both kinds shows as IPv6 is IPv4."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return (isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped) or found


def _written(address: str, port: int) -> str:
    """As the tables write it: words of four bytes, each as this processor reads it."""
    packed = _plain(address).packed
    words = (int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4))
    return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"
