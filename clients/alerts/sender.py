"""`python -m clients.alerts.sender`: read one message as JSON from stdin, send it with apprise, and print what became of it.

Nothing that apprise says is passed on: its lines and its results hold whole addresses.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import apprise

#: Seconds. A receiver on a bad line may take longer than apprise's four to accept, or to answer.
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 12.0

_STATUS = re.compile(r"error=(\d{3})")
#: What apprise logs when nothing can have arrived, and what to say of it.
_NOT_SENT = {
    "connect timeout": "no connection within a few seconds",
    "Connection refused": "the connection was refused",
    "NameResolution": "its name has no address",
    "Network is unreachable": "the network is unreachable",
    "No route to host": "there is no route to it",
    "certificate verify failed": "its certificate is not trusted",
}
#: The same when something may have arrived.
_IN_DOUBT = {
    "Read timed out": "it did not answer in time",
    "Connection aborted": "it broke the connection off",
    "Connection reset": "it broke the connection off",
}


class AppriseLines(logging.Handler):
    """The lines that apprise logged, kept in memory."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def main() -> int:
    """Send the message of stdin, or only check its address if it has no title."""
    asked: dict[str, Any] = json.load(sys.stdin)
    said = _lines()
    channel = _channel(asked["url"])
    if channel is None:
        answer = {"outcome": "failed", "why": "apprise does not understand its address; docs/alerts.md has examples"}
    elif "title" not in asked:
        answer = {"outcome": "usable"}
    else:
        kind = apprise.NotifyType.FAILURE if asked.get("bad", True) else apprise.NotifyType.SUCCESS
        done = channel.notify(title=asked["title"], body=asked["body"], notify_type=kind)
        answer = {"outcome": "sent", "why": "accepted"} if done else _failure("\n".join(said.lines))
    sys.stdout.write(json.dumps(answer))
    return 0


def _channel(url: str) -> apprise.Apprise | None:
    found = apprise.Apprise()
    if not found.add(url):
        return None
    given = parse_qs(urlsplit(url).query)
    for service in found:
        if "cto" not in given:
            service.socket_connect_timeout = CONNECT_SECONDS
        if "rto" not in given:
            service.socket_read_timeout = ANSWER_SECONDS
    return found


def _failure(said: str) -> dict[str, str]:
    """Return what became of a message that apprise calls failed, from what it logged."""
    for part, why in _NOT_SENT.items():
        if part in said:
            return {"outcome": "failed", "why": why}
    if status := _STATUS.search(said):
        return {"outcome": "failed", "why": f"it answered {status[1]}"}
    for part, why in _IN_DOUBT.items():
        if part in said:
            return {"outcome": "unknown", "why": why}
    return {"outcome": "failed", "why": "it did not accept the message"}


def _lines() -> AppriseLines:
    kept, logger = AppriseLines(), logging.getLogger("apprise")
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    return kept


if __name__ == "__main__":
    sys.exit(main())
