"""Keeping a request out of this machine and its network, whatever a name or a redirect leads to."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from clients.http.deadline import BoundedAdapter
from gatekeeper.errors import NotApplied


class PrivateAddress(NotApplied):
    """Raised before anything is sent when a connection ended at an address that is not public."""


class PublicAdapter(BoundedAdapter):
    """Sends requests to public addresses only.

    The connection itself is asked where it ended. A look-up beforehand could be answered differently the second time.
    """

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """The pool of connections, each of which checks its other end."""
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        pool.ConnectionCls = type("PublicConnection", (_Checked, pool.ConnectionCls), {})
        return pool


class _Checked:
    """Stands before a connection class of urllib3."""

    def _new_conn(self) -> socket.socket:
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]  # of the class behind this one
        address = str(connected.getpeername()[0])
        if not is_public(address):
            connected.close()
            raise PrivateAddress(f"{address} is an address of this machine or its network")
        return connected


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet at large."""
    found = ipaddress.ip_address(address.partition("%")[0])
    # An IPv4 address inside another one counts as what it is; older Pythons do not look.
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None) or found
    return bool(inner.is_global and not inner.is_multicast)


def is_literal(host: str) -> bool:
    """Whether a host is written as an address, or as this machine's own name, so that no name server can change it."""
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
