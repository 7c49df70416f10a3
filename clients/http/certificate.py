"""Look up when a server's TLS certificate expires, with a handshake and no request."""

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
    """Return when a server's certificate expires, and log the handshake.

    Args:
        host: The server's name.
        port: Its TLS port.
        timeout: Seconds for the connection and the handshake together.

    Raises:
        OSError: the server cannot be reached, or its certificate is not valid; `ssl.SSLError` is an OSError.

    """
    started = time.monotonic()
    try:
        until = _handshake(host, port, timeout)
    except OSError as error:
        _log("error", host, port, started, error=describe(error))
        raise
    _log("info", host, port, started, until=until.isoformat())
    return until


def _handshake(host: str, port: int, timeout: float) -> datetime:
    context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)  # the authorities that clients.http trusts
    deadline = time.monotonic() + timeout
    with dial.connect(host, port, timeout) as plain:
        plain.settimeout(max(deadline - time.monotonic(), 0.001))
        with context.wrap_socket(plain, server_hostname=host) as secure:
            certificate = cast("dict[str, str]", secure.getpeercert())
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


def _log(level: str, host: str, port: int, started: float, **fields: str) -> None:
    ms = round((time.monotonic() - started) * 1000)
    getattr(log, level)("tls", host=host, port=port, ms=ms, **fields)
