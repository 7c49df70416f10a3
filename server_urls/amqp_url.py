"""The URL of a RabbitMQ server, from `BROKER_URL`, in the one form that kombu, Celery and Flower understand alike."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlencode

from server_urls.url_parts import UnusableUrl, certificate_files, split

#: The schemes, and the port that each has by default.
SCHEMES = {"amqp": 5672, "amqps": 5671}
#: RabbitMQ's own user, who may log in only from its machine; the URL leaves it out.
_GUEST = ("guest", "guest")
_FILES = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}
#: Options that would switch off a check which Gatehouse relies on, and why that is refused.
_CHECKS = ("ssl_cert_reqs", "ssl_check_hostname")


@dataclass(frozen=True)
class AmqpUrl:
    """A server on TCP, with TLS if `is_encrypted`; `files` are the options that name files of certificates."""

    host: str
    port: int
    virtual_host: str = "/"
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    is_encrypted: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the URL with every part written out."""
        options = f"?{urlencode(self.files)}" if self.files else ""
        return f"{self.for_kombu}{options}"

    @property
    def for_kombu(self) -> str:
        """The URL for Celery's broker and Flower; `ssl_options` goes beside it."""
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.username else ""
        scheme, _, place = self.address.partition("://")
        return f"{scheme}://{login}{place}/{quote(self.virtual_host, safe='')}"

    @property
    def ssl_options(self) -> dict[str, Any] | None:
        """The options of TLS as py-amqp takes them, or None without TLS: chain and host name are always checked."""
        if not self.is_encrypted:
            return None
        files = {_FILES[name]: path for name, path in self.files.items()}
        return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": self.host, **files}

    @property
    def address(self) -> str:
        """The URL without its login, its virtual host and its options, for messages."""
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        return f"{'amqps' if self.is_encrypted else 'amqp'}://{host}:{self.port}"


def is_amqp(url: str) -> bool:
    """Return whether a URL names a RabbitMQ server."""
    return url.partition("://")[0].lower() in SCHEMES


def read(url: str) -> AmqpUrl:
    """Parse a URL that begins with amqp:// or amqps://.

    Raises:
        UnusableUrl: it cannot be used; the message never shows the URL.

    """
    parts = _split(url)
    is_encrypted = parts.scheme.lower() == "amqps"
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(username) != bool(password):
        raise UnusableUrl("needs a user and a password, or none of both: amqp://USER:PASSWORD@host:5672/")
    if (username, password) == _GUEST:
        username = password = ""
    files = _files(parts)
    if files and not is_encrypted:
        raise UnusableUrl(f"has the option {min(files)}, which needs TLS; begin the URL with amqps://")
    return AmqpUrl(
        host=_host(parts),
        port=parts.port or SCHEMES[parts.scheme.lower()],
        virtual_host=unquote(parts.path.removeprefix("/")) or "/",
        username=username,
        password=password,
        is_encrypted=is_encrypted,
        files=files,
    )


def _split(url: str) -> SplitResult:
    place = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    if ";" in url or "," in place:
        raise UnusableUrl(
            "names several servers: with a list, each reconnect waits 17 s for a node that is down; write one name that "
            "answers for all nodes, such as that of a load balancer"
        )
    return split(url, SCHEMES["amqp"], "virtual host")


def _host(parts: SplitResult) -> str:
    host = unquote(parts.hostname or "") or "localhost"
    if "/" in host or not host.isprintable():
        raise UnusableUrl("names a path where its host should be; write one host")
    return host


def _files(parts: SplitResult) -> dict[str, str]:
    """Return the options that name files; raise UnusableUrl for every other option, and for a file that is not there."""
    found = {}
    for name, values in parse_qs(parts.query, keep_blank_values=True).items():
        if name in _CHECKS:
            raise UnusableUrl(
                f"has the option {name}: the certificate and its name are always checked; remove it, and name your own "
                "authority with ssl_ca_certs"
            )
        if name not in _FILES or len(values) > 1:
            raise UnusableUrl(f"has an unknown or repeated option {name[:40]!r}; the options are {', '.join(_FILES)}")
        found[name] = values[0]
    return certificate_files(found)
