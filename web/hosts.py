"""Which names this server answers to, and whether a request was made on this machine.

A page in a person's browser may point its own name at 127.0.0.1 and then read what is served here (DNS rebinding). The
browser still sends that name as Host. An address as Host is safe: nobody can point an address elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

import settings
from web import proxies

#: A name or an IPv4 address, or an IPv6 address in brackets; then perhaps a port.
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+))(?::[0-9]{1,5})?", re.IGNORECASE)


def of(headers: Headers) -> str | None:
    """The name or address in the Host header, in lower case; "" if there is no such header, None if it is not a host's."""
    given = headers.getlist("host")
    if not given or given == [""]:
        return ""
    found = _HOST.fullmatch(given[0]) if len(given) == 1 else None
    return (found["six"] or found["name"]).lower().removesuffix(".") or None if found else None


def is_ours(host: str | None) -> bool:
    """Whether this server answers to this name; a client without a Host is not a browser."""
    return host is not None and (host == "" or is_address(host) or host in _names() or host.endswith(".localhost"))


def is_address(host: str) -> bool:
    """Whether this is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_direct_from_here(request: HTTPConnection) -> bool:
    """Whether nothing shows that this request comes from elsewhere. This is not proof: a proxy may hide all traces."""
    client = request.client.host if request.client else ""
    return not proxies.left_a_trace(request.headers) and is_loopback(client) and is_loopback(of(request.headers) or "")


def is_loopback(host: str) -> bool:
    """Whether this name or address leads to this machine and nowhere else."""
    if not is_address(host):
        return host == "localhost" or host.endswith(".localhost")
    address = ipaddress.ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


@cache
def _names() -> frozenset[str]:
    here = settings.current()
    public = urlsplit(here.public_url).hostname or ""
    return frozenset(name.lower() for name in ("localhost", socket.gethostname(), here.web_host, public) if name)
