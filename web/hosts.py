"""Decide whether this server answers to the Host of a request.

A page in a browser may point its own name at 127.0.0.1 and then read what is served here (DNS rebinding). The browser
still sends that name as Host, so names that are not this server's are refused. An IP address as Host is safe, because
nobody can make an address lead elsewhere.
"""

from __future__ import annotations

import re
import socket
from functools import cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

import settings
from clients.http.public_only import is_ip_address
from web import addresses

#: A name or an IPv4 address, or an IPv6 address in brackets; then an optional port.
_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+))(?::[0-9]{1,5})?", re.IGNORECASE)


def read(headers: Headers) -> str | None:
    """Return the host in the Host header.

    Returns:
        The name or address in lower case, without port and brackets; "" if the header is missing or empty; None if
        it is not a host, or if there are several.

    """
    values = headers.getlist("host")
    if not values or values == [""]:
        return ""
    match = _HOST.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        return None
    return (match["ipv6"] or match["name"]).lower().removesuffix(".") or None


def is_ours(host: str | None) -> bool:
    """Return whether this server answers to a host that `read` returned. A client without a Host is not a browser."""
    if host is None:
        return False
    return host == "" or is_ip_address(host) or host in _our_names() or host.endswith(".localhost")


def is_direct_and_local(request: HTTPConnection) -> bool:
    """Return whether nothing shows that a request comes from another machine.

    True is not proof: a proxy on this machine may hide all traces.
    """
    client = request.client.host if request.client else ""
    is_local = addresses.is_loopback(client) and addresses.is_loopback(read(request.headers) or "")
    return is_local and not addresses.has_proxy_header(request.headers)


@cache
def _our_names() -> frozenset[str]:
    chosen = settings.current()
    public = urlsplit(chosen.public_url).hostname or ""
    return frozenset(name.lower() for name in ("localhost", socket.gethostname(), chosen.web_host, public) if name)
