"""Verify signatures, with one function per scheme. Each takes the raw bytes as they came, and raises BadSignature.

Every secret of a source may sign, so that a secret can be exchanged without losing a delivery.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from web.webhooks import standard_webhooks
from web.webhooks.signed import BadSecret, BadSignature, Scheme, Signed, check_any, digest, sent_bytes

#: Characters of the text that Slack wants to read again; it sends about 60.
MAX_CHALLENGE = 500


def verify_github(signed: Signed) -> Mapping[str, str]:
    """Verify GitHub's scheme: `sha256=` and the hex of HMAC-SHA256 over the body."""
    name = "X-Hub-Signature-256"
    signature = signed.require(name)
    check_any((b"sha256=" + _hex(key, signed.body) for key in signed.shared), [signature], name)
    return signed.headers


def verify_hmac(signed: Signed) -> Mapping[str, str]:
    """Verify the hex of HMAC-SHA256 over the body, in a header that the source names, with or without `sha256=`."""
    signature = signed.require(signed.header).removeprefix("sha256=")
    check_any((_hex(key, signed.body) for key in signed.shared), [signature.lower()], signed.header)
    return signed.headers


def verify_stripe(signed: Signed) -> Mapping[str, str]:
    """Verify Stripe's scheme: `t=TIME,v1=…`, with the hex of HMAC-SHA256 over time and body; several `v1` are allowed."""
    name = "Stripe-Signature"
    parts = [part.strip().partition("=") for part in signed.require(name).split(",")]
    times = [value for key, _, value in parts if key == "t"]
    signatures = [value for key, _, value in parts if key == "v1"]
    if len(times) != 1:
        raise BadSignature(f"{name} has no time (t=…), or several")
    if not signatures:
        raise BadSignature(f"{name} has no signature of version v1")
    signed.check_time(times[0], f"t in {name}")
    content = b".".join([sent_bytes(times[0]), signed.body])
    check_any((_hex(key, content) for key in signed.shared), signatures, name)
    return signed.headers


def verify_slack(signed: Signed) -> Mapping[str, str]:
    """Verify Slack's scheme: `v0=` and the hex of HMAC-SHA256 over version, time and body."""
    name, time_name = "X-Slack-Signature", "X-Slack-Request-Timestamp"
    signature, sent_at = signed.require(name), signed.require(time_name)
    signed.check_time(sent_at, time_name)
    content = b":".join([b"v0", sent_bytes(sent_at), signed.body])
    check_any((b"v0=" + _hex(key, content) for key in signed.shared), [signature], name)
    return signed.headers


def verify_telegram(signed: Signed) -> Mapping[str, str]:
    """Compare the secret that `setWebhook` was given: Telegram sends it with each update, and signs nothing."""
    name = "X-Telegram-Bot-Api-Secret-Token"
    check_any(signed.shared, [signed.require(name)], name)
    return signed.headers


def telegram_key(secret: str) -> bytes:
    """Return the bytes of a secret token; raise BadSecret if Telegram would not take it."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret):
        raise BadSecret("it must be 1 to 256 letters, digits, _ and -, which is what Telegram takes as secret_token")
    return secret.encode()


def slack_challenge(content: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the answer to Slack's `url_verification`, which it sends when a person enters the address."""
    challenge = content.get("challenge")
    if content.get("type") != "url_verification" or not isinstance(challenge, str):
        return None
    return {"challenge": challenge} if 0 < len(challenge) <= MAX_CHALLENGE else None


#: Every scheme that a row of the table may name. A new one is a function above and a line here.
SCHEMES = {
    "standard": Scheme(standard_webhooks.verify, standard_webhooks.key),
    "github": Scheme(verify_github),
    # A repeated event counts anew for how many endpoints it is still pending.
    "stripe": Scheme(verify_stripe, repeats_bytes=False),
    "slack": Scheme(verify_slack, repeats_bytes=False, greet=slack_challenge),
    "telegram": Scheme(verify_telegram, telegram_key, repeats_bytes=False),
    "hmac": Scheme(verify_hmac),
}


def _hex(key: bytes, content: bytes) -> bytes:
    return digest(key, content).hex().encode()
