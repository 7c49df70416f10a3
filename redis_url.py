"""The URL of a Redis server, from `REDIS_URL` or `BROKER_URL`, in one form that every client understands.

redis-py, kombu, Celery's results and Flower read such URLs differently: with a password or a database in the query, a
missing port, or an option that only one of them knows, `gate status` could answer while the worker cannot log in. So a URL
is parsed once, here, and written in one form; a URL that cannot be given to all of them is refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlencode, urlsplit

DEFAULT_PORT = 6379
MAX_PORT = 65_535

#: The schemes that redis-py and kombu accept, and the one that each is written as.
_SCHEMES = {
    "redis": "redis",
    "valkey": "redis",
    "rediss": "rediss",
    "valkeys": "rediss",
    "unix": "unix",
    "redis+socket": "unix",
    "redis+unix": "unix",
    "valkey+socket": "unix",
}
_DATABASE = ("db", "virtual_host")
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
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
_TLS = frozenset({*_FILES, "ssl_cert_reqs", "ssl_check_hostname"})
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


class UnusableUrl(ValueError):
    """Raised for a URL that cannot be used; the message says what to write instead, and never shows the URL."""


@dataclass(frozen=True)
class RedisUrl:
    """A server on TCP (`host`, `port`), with TLS if `tls` is not None, or on a Unix socket (`path`)."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    database: int = 0
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tls: Mapping[str, str] | None = None

    def __str__(self) -> str:
        """Return the URL for redis-py, with every part written out."""
        if self.path:
            return f"unix://{self._login}{quote(self.path)}?db={self.database}"
        options = f"?{urlencode(self.tls)}" if self.tls else ""
        return f"{self._scheme}://{self._login}{self._place}/{self.database}{options}"

    @property
    def for_kombu(self) -> str:
        """The URL for Celery's broker, its results and Flower; `ssl_options` goes beside it."""
        if self.path:
            return f"redis+socket://{self._login}{quote(self.path)}?virtual_host={self.database}"
        return f"{self._scheme}://{self._login}{self._place}/{self.database}"

    @property
    def ssl_options(self) -> dict[str, Any] | None:
        """The options of TLS as kombu and Celery take them, or None without TLS."""
        if self.tls is None:
            return None
        options: dict[str, Any] = dict(self.tls)
        options["ssl_check_hostname"] = options["ssl_check_hostname"] == "true"
        return options

    @property
    def address(self) -> str:
        """The URL without its login and its options, for messages."""
        return f"unix://{self.path}" if self.path else f"{self._scheme}://{self._place}"

    @property
    def _scheme(self) -> str:
        return "redis" if self.tls is None else "rediss"

    @property
    def _place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        return f"{host}:{self.port}"

    @property
    def _login(self) -> str:
        if not self.username and not self.password:
            return ""
        return f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@"


def read(url: str) -> RedisUrl:
    """Parse a URL in any form that redis-py accepts.

    Raises:
        UnusableUrl: not every client could use it.

    """
    parts = _split(url)
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None:
        raise UnusableUrl("must start with redis://, rediss:// or unix://; for example redis://127.0.0.1:6379/0")
    options = _options(parts)
    found = RedisUrl(
        username=_login(parts.username, options, "username"), password=_login(parts.password, options, "password")
    )
    if found.username and not found.password:
        raise UnusableUrl("names a user and no password; write the password as redis://:PASSWORD@host, with the colon")
    if scheme == "unix":
        found = replace(found, path=_path(parts), database=_database(options, ""))
    else:
        database = _database(options, parts.path)
        found = replace(found, host=_host(parts), port=parts.port or DEFAULT_PORT, database=database)
    if scheme == "rediss":
        return replace(found, tls=_tls(options))
    if named := sorted(_TLS.intersection(options)):
        raise UnusableUrl(f"has the option {named[0]}, which needs TLS; begin the URL with rediss://")
    return found


def _login(written: str | None, options: dict[str, str], name: str) -> str:
    """Return a user name or a password, from before the host or else from the query."""
    given = options.pop(name, "")
    return unquote(written or "") or given


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UnusableUrl(
            "cannot be read; percent-encode special characters in its password, write a number as its port"
        ) from None
    if port == 0:
        raise UnusableUrl(f"has the port 0; write a number from 1 to {MAX_PORT}, the default is {DEFAULT_PORT}")
    if parts.fragment or url.endswith("#"):
        raise UnusableUrl("has a '#' in it; write %23 where it belongs to the password or the path")
    if not (parts.password or parts.username or "").isprintable() or any(c.isspace() for c in url):
        raise UnusableUrl("has a space or a control character in it; percent-encode it")
    return parts


def _options(parts: SplitResult) -> dict[str, str]:
    """Return the options of the query; raise UnusableUrl for a repeated or unknown one."""
    options = {}
    for name, values in parse_qs(parts.query, keep_blank_values=True).items():
        if name in _OWN:
            raise UnusableUrl(f"has the option {name}, which Gatehouse sets itself; remove it")
        if name not in {*_DATABASE, *_TLS, "username", "password"}:
            known = ", ".join(sorted({"db", "username", "password", *_TLS}))
            raise UnusableUrl(f"has an unknown option {name[:40]!r}; the options are {known}")
        if len(values) > 1:
            raise UnusableUrl(f"has the option {name} twice; keep one of them")
        if values[0]:
            options[name] = values[0]
    return options


def _host(parts: SplitResult) -> str:
    host = unquote(parts.hostname or "") or "localhost"
    if "," in parts.netloc.rpartition("@")[2] or "/" in host:
        raise UnusableUrl("names several servers or a path where its host should be; write one host")
    return host


def _path(parts: SplitResult) -> str:
    place = parts.netloc.rpartition("@")[2]
    if place or len(parts.path) < 2:  # noqa: PLR2004 - a slash alone is not a file
        raise UnusableUrl("must name a socket by its whole path, with three slashes: unix:///run/redis.sock?db=0")
    return unquote(parts.path)


def _database(options: dict[str, str], path: str) -> int:
    given = [options.pop(name) for name in _DATABASE if name in options]
    text = given[0] if given else unquote(path).strip("/") or "0"
    if not (text.isascii() and text.isdecimal()) or len(text) > 4:  # noqa: PLR2004 - servers have 16
        raise UnusableUrl("has a database that is not a number; write redis://host:6379/0 or unix:///path?db=0")
    return int(text)


def _tls(options: Mapping[str, str]) -> dict[str, str]:
    """Return how the server's certificate is checked; by default as a browser does."""
    check = _CHECKS.get(options.get("ssl_cert_reqs", "required").lower())
    if check is None:
        raise UnusableUrl("has an unknown ssl_cert_reqs; write required, optional or none")
    name = _YES_OR_NO.get(options.get("ssl_check_hostname", "false" if check == "none" else "true").lower())
    if name is None:
        raise UnusableUrl("has an unknown ssl_check_hostname; write true or false")
    if check == "none" and name == "true":
        raise UnusableUrl("wants the host's name checked and its certificate not; remove one of the two options")
    files = {option: options[option] for option in _FILES if option in options}
    for option, file in files.items():
        if not Path(file).is_absolute() or not os.access(file, os.R_OK):
            raise UnusableUrl(f"has an {option} that is not the whole path of a file that can be read")
    if ("ssl_keyfile" in files) and "ssl_certfile" not in files:
        raise UnusableUrl("has an ssl_keyfile and no ssl_certfile; write both, or the certificate alone")
    return {"ssl_cert_reqs": check, "ssl_check_hostname": name, **files}
