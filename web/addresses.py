"""Read addresses, and decide whether a host, or a request's headers, show that a request comes from this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from clients.http.public_only import is_ip_address

_PROXY_HEADERS = frozenset({"forwarded", "via", "x-real-ip", "true-client-ip", "cf-connecting-ip"})
_PROXY_PREFIX = "x-forwarded-"


def is_loopback(host: str) -> bool:
    """Return whether a name, or an address without brackets, always leads to this machine."""
    if is_ip_address(host):
        return parse(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Parse an address; return an IPv4 address for one that a dual-stack socket shows as IPv6."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return (isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped) or parsed


def has_proxy_header(headers: Iterable[str]) -> bool:
    """Return whether one of these header names is added by proxies. False does not prove that there was no proxy."""
    names = [name.lower() for name in headers]
    return any(name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIX) for name in names)
