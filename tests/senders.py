"""Senders of webhooks: each signs as the real one does, with its own library or by its documentation."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from standardwebhooks.webhooks import Webhook

JSON = {"Content-Type": "application/json"}

Headers = dict[str, str]


class Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def standard(secret: str, body: bytes, delivery: str, at: float | None = None) -> Headers:
    """The headers of Standard Webhooks, by their own library."""
    now = int(time.time() if at is None else at)
    signature = Webhook(secret).sign(delivery, datetime.fromtimestamp(now, UTC), body.decode())
    return {**JSON, "webhook-id": delivery, "webhook-timestamp": str(now), "webhook-signature": signature}


def svix(secret: str, body: bytes, delivery: str, at: float | None = None) -> Headers:
    """The headers of Svix, by its own library."""
    if not os.environ.get("CI"):
        pytest.importorskip("svix", reason="svix is not installed: pip install -e '.[dev]'")
    from svix.webhooks import Webhook as Svix

    now = int(time.time() if at is None else at)
    signature = Svix(secret).sign(delivery, datetime.fromtimestamp(now, UTC), body.decode())
    return {**JSON, "svix-id": delivery, "svix-timestamp": str(now), "svix-signature": signature}


def github(secret: str, body: bytes, delivery: str, event: str = "issues") -> Headers:
    """The headers of GitHub, by its page "Validating webhook deliveries"."""
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {**JSON, "X-Hub-Signature-256": signature, "X-GitHub-Delivery": delivery, "X-GitHub-Event": event}


def generic(secret: str, body: bytes, header: str = "X-Signature") -> Headers:
    return {**JSON, header: hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def send(url: str, body: bytes, headers: Headers, method: str = "POST") -> Answer:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
        return _read(connection.getresponse())
    finally:
        connection.close()


def _read(response: HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def message(number: int | str = 1, **fields: Any) -> bytes:
    """The body of a `message.created`."""
    data = {"channel": "chat", "conversation": "c1", "message_id": f"m{number}", "text": "Hello?", "sender": "ada"}
    return json.dumps({"type": "message.created", "data": data | fields}).encode()
