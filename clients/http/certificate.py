"""How long a server's certificate is good for. A handshake and nothing else; it leaves one log line."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime
from typing import cast

import structlog
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from gatekeeper.redact import describe
from state import dial

log = structlog.get_logger("gatehouse.tls")


def good_until(host: str, port: int, timeout: float) -> datetime:
    """When the certificate of this server ends; raises OSError if there is no server, or its certificate is no good."""
    started = time.monotonic()
    try:
        until = _ask(host, port, timeout)
    except OSError as error:
        _tell("error", host, port, started, error=describe(error))
        raise
    _tell("info", host, port, started, until=until.isoformat())
    return until


def _ask(host: str, port: int, timeout: float) -> datetime:
    trusting = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)  # the authorities that clients.http trusts
    deadline = time.monotonic() + timeout
    with dial.connect(host, port, timeout) as plain:
        plain.settimeout(max(deadline - time.monotonic(), 0.001))
        with trusting.wrap_socket(plain, server_hostname=host) as secure:
            told = cast("dict[str, str]", secure.getpeercert())
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(told["notAfter"]), UTC)


def _tell(level: str, host: str, port: int, started: float, **seen: str) -> None:
    ms = round((time.monotonic() - started) * 1000)
    getattr(log, level)("tls", host=host, port=port, ms=ms, **seen)
