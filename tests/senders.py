"""Senders of webhooks: each signs as the real one does, with its own library or by its documentation."""

from __future__ import annotations

import base64
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
import stripe as stripe_library
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook

from tests.harness import patient

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


def private_key(seed: bytes = b"p" * 32) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_secret(key: Ed25519PrivateKey) -> str:
    """The public key as Standard Webhooks writes it."""
    return "whpk_" + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def standard_private(key: Ed25519PrivateKey, body: bytes, delivery: str, at: float | None = None) -> Headers:
    """The headers of Standard Webhooks with a private key, by the specification: its library makes none."""
    now = int(time.time() if at is None else at)
    signature = base64.b64encode(key.sign(f"{delivery}.{now}.".encode() + body)).decode()
    return {**JSON, "webhook-id": delivery, "webhook-timestamp": str(now), "webhook-signature": f"v1a,{signature}"}


def stripe(secret: str, body: bytes, at: float | None = None) -> Headers:
    """The headers of Stripe, by its own library."""
    now = int(time.time() if at is None else at)
    make = stripe_library.WebhookSignature.generate_signature_header
    return {**JSON, "Stripe-Signature": make(body.decode(), secret, now)}


def slack(secret: str, body: bytes, at: float | None = None) -> Headers:
    """The headers of Slack, by its own library."""
    now = str(int(time.time() if at is None else at))
    signature = SignatureVerifier(secret).generate_signature(timestamp=now, body=body)
    return {**JSON, "X-Slack-Request-Timestamp": now, "X-Slack-Signature": str(signature)}


def telegram(secret: str) -> Headers:
    """The headers of Telegram, by its page on `setWebhook`."""
    return {**JSON, "X-Telegram-Bot-Api-Secret-Token": secret}


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
    connection = HTTPConnection(parts.netloc, timeout=patient(20))
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


def slack_message(event_id: str, **fields: Any) -> bytes:
    """The body of a message in a channel of Slack, as its page on the Events API has it."""
    event = {"type": "message", "channel": "C061", "user": "U061", "text": "Hello?", "ts": "1525215129.000001"}
    content = {"token": "one-long-token", "team_id": "T061", "api_app_id": "A0MD", "event": event | fields}
    return json.dumps({**content, "type": "event_callback", "event_id": event_id, "event_time": 1525215129}).encode()


def telegram_message(update: int, **fields: Any) -> bytes:
    """The body of an update of Telegram with a message."""
    sender = {"id": 7, "is_bot": False, "first_name": "Ada"}
    message = {"message_id": 33, "from": sender, "chat": {"id": -1009, "type": "supergroup"}, "date": 1525215129}
    return json.dumps({"update_id": update, "message": {**message, "text": "Hello?", **fields}}).encode()
