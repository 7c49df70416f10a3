"""The URL of the mail server, from `SMTP_URL`: where it is, how its connection is encrypted, who signs in, who sends."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

EXAMPLE = "smtp://user:password@mail.example.org:587"
MAX_PORT = 65_535
#: The ports of mail: for servers among themselves, for users with STARTTLS, and for users with TLS from the first byte.
RELAY, SUBMISSION, TLS = 25, 587, 465
OPTIONS = ("starttls", "from", "ca")
#: Characters of an address (RFC 5321).
MAX_ADDRESS = 254

_HOST = re.compile(r"[0-9a-f.]*:[0-9a-f.:]*|[0-9a-z_-]{1,63}(\.[0-9a-z_-]{1,63})*")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


class UnusableMailUrl(ValueError):
    """Raised for a URL that cannot be used; the message says what to write instead, and never shows the URL."""


@dataclass(frozen=True)
class SmtpUrl:
    """A mail server; `security` is "tls" (from the first byte), "starttls" or "none"."""

    host: str
    port: int
    security: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    sender: str = ""  #: the address that mail comes from; empty if the URL names none
    ca: str = ""  #: a file with the certificates to trust instead of the system's

    @property
    def address(self) -> str:
        """The server without its login, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read(url: str) -> SmtpUrl:
    """Parse the URL of a mail server.

    Raises:
        UnusableMailUrl: It is not one, or it would send the password unencrypted.

    """
    parts = _split(url)
    options = _options(parts)
    host, username, password = parts.hostname or "", unquote(parts.username or ""), unquote(parts.password or "")
    if bool(username) != bool(password):
        raise UnusableMailUrl(f"names a user and no password, or the other way round; write {EXAMPLE}")
    if not (username + password).isascii():
        raise UnusableMailUrl("has a login that is not plain ASCII, which mail servers do not agree on how to read")
    security = _security(parts.scheme.lower(), options.get("starttls", ""), host)
    if password and security == "none" and not is_loopback(host):
        raise UnusableMailUrl("would send the password unencrypted; remove starttls=no, or write smtps://")
    usual = TLS if security == "tls" else SUBMISSION if username else RELAY
    sender = options.get("from", "") or (username if is_address(username) else "")
    if sender and not is_address(sender):
        raise UnusableMailUrl("has a from= that is not an address; write from=gatehouse@example.org")
    return SmtpUrl(host, parts.port or usual, security, username, password, sender, _ca(options.get("ca", "")))


def is_address(text: str) -> bool:
    """Return whether a text is a mail address, in ASCII and without quotes."""
    local, _, domain = text.rpartition("@")
    dotted = not any(part.startswith(".") or part.endswith(".") or ".." in part for part in (local, domain))
    return len(text) <= MAX_ADDRESS and dotted and _ADDRESS.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, so that nobody can listen between."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UnusableMailUrl(
            "cannot be read; percent-encode special characters in its password, write a number as its port"
        ) from None
    if parts.scheme.lower() not in {"smtp", "smtps"} or not _HOST.fullmatch(parts.hostname or ""):
        raise UnusableMailUrl(f"must start with smtp:// or smtps:// and name a host; for example {EXAMPLE}")
    if port == 0 or parts.path not in {"", "/"} or parts.fragment or url.endswith("#"):
        raise UnusableMailUrl(
            f"has a path, a '#' or the port 0 in it; percent-encode its password, and write {EXAMPLE}"
        )
    if any(c.isspace() or not c.isprintable() for c in url):
        raise UnusableMailUrl("has a space or a control character in it; percent-encode it")
    return parts


def _options(parts: SplitResult) -> dict[str, str]:
    """Return the options of the query; raise UnusableMailUrl for a repeated or unknown one."""
    found = {}
    # A plus sign belongs to an address; in a form it would be a space.
    for name, values in parse_qs(parts.query.replace("+", "%2B"), keep_blank_values=True).items():
        if name not in OPTIONS:
            raise UnusableMailUrl(f"has an unknown option {name[:40]!r}; the options are {', '.join(OPTIONS)}")
        if len(values) > 1:
            raise UnusableMailUrl(f"has the option {name} twice; keep one of them")
        found[name] = values[0]
    return found


def _security(scheme: str, starttls: str, host: str) -> str:
    if scheme == "smtps":
        if starttls:
            raise UnusableMailUrl("has starttls=, but smtps:// encrypts from the first byte; remove one of them")
        return "tls"
    wanted = starttls.lower() or ("no" if is_loopback(host) else "yes")
    if wanted not in {"yes", "no"}:
        raise UnusableMailUrl("has an unknown starttls=; write starttls=yes or starttls=no")
    return "starttls" if wanted == "yes" else "none"


def _ca(file: str) -> str:
    if file and not (Path(file).is_absolute() and os.access(file, os.R_OK)):
        raise UnusableMailUrl("has a ca= that is not the whole path of a file that can be read")
    return file
