"""The parts of a Redis URL: login, host, path, database and options, each checked by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import SplitResult, parse_qs, unquote

from server_urls import url_parts
from server_urls.url_parts import FILES, UnusableUrl, certificate_files

DEFAULT_PORT = 6379

_DATABASE = ("db", "virtual_host")
#: How a certificate is checked, as redis-py and as Python's ssl write it.
_CHECKS = {
    "required": "required",
    "cert_required": "required",
    "optional": "optional",
    "cert_optional": "optional",
    "none": "none",
    "cert_none": "none",
}
_YES_OR_NO = {"true": "true", "1": "true", "yes": "true", "false": "false", "0": "false", "no": "false"}
#: The options that need TLS.
TLS = frozenset({*FILES, "ssl_cert_reqs", "ssl_check_hostname"})
#: Options that Gatehouse sets itself, to fit its own timeouts.
_OWN = frozenset(
    {
        "client_name",
        "decode_responses",
        "encoding",
        "health_check_interval",
        "max_connections",
        "protocol",
        "retry_on_error",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_read_size",
        "socket_timeout",
        "timeout",
    }
)


def login(written: str | None, options: dict[str, str], name: str) -> str:
    """Return a user name or a password, from before the host or else from the query."""
    given = options.pop(name, "")
    return unquote(written or "") or given


def split(url: str) -> SplitResult:
    """Return the parts of a URL; raise UnusableUrl for one that not every client reads alike."""
    return url_parts.split(url, DEFAULT_PORT)


def options(parts: SplitResult, more: Collection[str] = ()) -> dict[str, str]:
    """Return the options of the query, which may have `more` than those of one server; raise UnusableUrl for another one."""
    found = {}
    for name, values in parse_qs(parts.query, keep_blank_values=True).items():
        if name in _OWN:
            raise UnusableUrl(f"has the option {name}, which Gatehouse sets itself; remove it")
        if name not in {*_DATABASE, *TLS, *more, "username", "password"}:
            known = ", ".join(sorted({"db", "username", "password", *TLS, *more}))
            raise UnusableUrl(f"has an unknown option {name[:40]!r}; the options are {known}")
        if len(values) > 1:
            raise UnusableUrl(f"has the option {name} twice; keep one of them")
        if values[0]:
            found[name] = values[0]
    return found


def host(parts: SplitResult) -> str:
    """Return the one host of a URL."""
    host = unquote(parts.hostname or "") or "localhost"
    if "," in parts.netloc.rpartition("@")[2] or "/" in host:
        raise UnusableUrl("names several servers or a path where its host should be; write one host")
    return host


def path(parts: SplitResult) -> str:
    """Return the path of a Unix socket."""
    place = parts.netloc.rpartition("@")[2]
    if place or len(parts.path) < 2:  # noqa: PLR2004 - a slash alone is not a file
        raise UnusableUrl("must name a socket by its whole path, with three slashes: unix:///run/redis.sock?db=0")
    return unquote(parts.path)


def database(options: dict[str, str], path: str) -> int:
    """Return the number of the database, from the options or else from the path; takes it out of the options."""
    given = [options.pop(name) for name in _DATABASE if name in options]
    text = given[0] if given else unquote(path).strip("/") or "0"
    if not (text.isascii() and text.isdecimal()) or len(text) > 4:  # noqa: PLR2004 - servers have 16
        raise UnusableUrl("has a database that is not a number; write redis://host:6379/0 or unix:///path?db=0")
    return int(text)


def tls(options: Mapping[str, str]) -> dict[str, str]:
    """Return how the server's certificate is checked; by default as a browser does."""
    check = _CHECKS.get(options.get("ssl_cert_reqs", "required").lower())
    if check is None:
        raise UnusableUrl("has an unknown ssl_cert_reqs; write required, optional or none")
    name = _YES_OR_NO.get(options.get("ssl_check_hostname", "false" if check == "none" else "true").lower())
    if name is None:
        raise UnusableUrl("has an unknown ssl_check_hostname; write true or false")
    if check == "none" and name == "true":
        raise UnusableUrl("wants the host's name checked and its certificate not; remove one of the two options")
    return {"ssl_cert_reqs": check, "ssl_check_hostname": name, **certificate_files(options)}
