"""Refuse connections to private addresses, whatever a name or a redirect resolves to."""

from __future__ import annotations

import ipaddress
import socket

from gatekeeper.errors import NotApplied


class PrivateAddress(NotApplied):
    """Raised before anything is sent when a connection leads to an address that is not public."""


def check_public(connected: socket.socket) -> None:
    """Close the connection and raise PrivateAddress if its peer is not public."""
    address = str(connected.getpeername()[0])
    if not is_public(address):
        connected.close()
        raise PrivateAddress(f"{address} is an address of this machine or its network")


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
