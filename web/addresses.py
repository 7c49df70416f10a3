"""Decide whether a host, or a request's headers, show that a request comes from this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from clients.http.public_only import is_ip_address

_PROXY_HEADERS = frozenset({"forwarded", "via", "x-real-ip", "true-client-ip", "cf-connecting-ip"})
_PROXY_PREFIX = "x-forwarded-"


def is_loopback(host: str) -> bool:
    """Return whether a name, or an address without brackets, always leads to this machine."""
    if not is_ip_address(host):
        return host == "localhost" or host.endswith(".localhost")
    address = ipaddress.ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def has_proxy_header(headers: Iterable[str]) -> bool:
    """Return whether one of these header names is added by proxies. False does not prove that there was no proxy."""
    names = [name.lower() for name in headers]
    return any(name in _PROXY_HEADERS or name.startswith(_PROXY_PREFIX) for name in names)
