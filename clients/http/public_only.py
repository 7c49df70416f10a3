"""Refuse connections to private addresses, whatever a name or a redirect resolves to."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from clients.http.deadline import BoundedAdapter
from gatekeeper.errors import NotApplied


class PrivateAddress(NotApplied):
    """Raised before anything is sent when a connection leads to an address that is not public."""


class PublicAdapter(BoundedAdapter):
    """A transport adapter that connects to public addresses only.

    It checks the peer of the open connection: a name resolved beforehand could resolve differently the second time.
    """

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Return a connection pool whose connections check their peer."""
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        pool.ConnectionCls = type("PublicConnection", (_Checked, pool.ConnectionCls), {})
        return pool


class _Checked:
    """A mix-in for urllib3's connections that checks the peer's address."""

    def _new_conn(self) -> socket.socket:
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]  # defined by urllib3's class
        address = str(connected.getpeername()[0])
        if not is_public(address):
            connected.close()
            raise PrivateAddress(f"{address} is an address of this machine or its network")
        return connected


def is_public(address: str) -> bool:
    """Return whether an IP address is a public unicast address."""
    outer = ipaddress.ip_address(address.partition("%")[0])
    # An embedded IPv4 address decides; older Pythons do not look at it.
    inner = getattr(outer, "ipv4_mapped", None) or getattr(outer, "sixtofour", None) or outer
    return bool(inner.is_global and not inner.is_multicast)


def is_ip_address(host: str) -> bool:
    """Return whether a host is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
