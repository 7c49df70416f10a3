"""The URL of a PostgreSQL database, from `JOURNAL_URL`: checked without the library that uses it."""

from __future__ import annotations

import hashlib
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

EXAMPLE = "postgresql://user:password@db.example.org/gatehouse"
SCHEMES = frozenset({"postgresql", "postgres"})
#: Options that Gatehouse sets itself, to fit its own deadlines.
_OWN = frozenset(
    {
        "application_name",
        "client_encoding",
        "connect_timeout",
        "options",
        "target_session_attrs",
        "tcp_user_timeout",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
    }
)


class UnusableDatabaseUrl(ValueError):
    """Raised for a URL that cannot be used; the message says what to write instead, and never shows the URL."""


def read(url: str) -> str:
    """Return the URL of a database as it is, once it is checked.

    Raises:
        UnusableDatabaseUrl: It is not one.

    """
    parts = _split(url)
    if parts.scheme.lower() not in SCHEMES:
        raise UnusableDatabaseUrl(f"must start with postgresql://; for example {EXAMPLE}")
    if not unquote(parts.path).strip("/"):
        raise UnusableDatabaseUrl(f"names no database; write {EXAMPLE}")
    if not parts.netloc.rpartition("@")[2] and "host=" not in parts.query:
        raise UnusableDatabaseUrl(f"names no host; write {EXAMPLE}, or ?host=/run/postgresql for a socket")
    for name, values in parse_qs(parts.query, keep_blank_values=True).items():
        if name in _OWN:
            raise UnusableDatabaseUrl(f"has the option {name}, which Gatehouse sets itself; remove it")
        if name in {"user", "password"}:
            raise UnusableDatabaseUrl(f"has its {name} in the query; write it before the host: {EXAMPLE}")
        if len(values) > 1:
            raise UnusableDatabaseUrl(f"has the option {name[:40]} twice; keep one of them")
    return url


def address(url: str) -> str:
    """Return the URL without its login and its options, for messages."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or "".join(parse_qs(parts.query).get("host", []))
    return f"postgresql://{host}{parts.path}"


def short_name(url: str) -> str:
    """Return twelve digits that differ between databases, and not between two passwords of one."""
    return hashlib.sha256(address(url).encode()).hexdigest()[:12]


def is_verified(url: str) -> bool:
    """Return whether nobody between this machine and the database can read or change what is sent."""
    parts = urlsplit(url)
    host = parts.hostname or "/"
    is_local = host in {"localhost", "127.0.0.1", "::1"} or host.startswith("/")
    return is_local or parse_qs(parts.query).get("sslmode", [""])[0] == "verify-full"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2]
        _ = parts.port if "," not in hosts else None
    except ValueError:
        raise UnusableDatabaseUrl(
            "cannot be read; percent-encode special characters in its password, write a number as its port"
        ) from None
    if parts.fragment or url.endswith("#"):
        raise UnusableDatabaseUrl("has a '#' in it; write %23 where it belongs to the password")
    if any(c.isspace() or not c.isprintable() for c in url):
        raise UnusableDatabaseUrl("has a space or a control character in it; percent-encode it")
    return parts
