"""Verify signatures, with one function per scheme. Each takes the raw bytes as they came, and raises BadSignature.

Every secret of a source may sign, so that a secret can be exchanged without losing a delivery.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers

#: Seconds by which a sender's clock may differ, as in the specification of Standard Webhooks. This is not a protection
#: against replay: the delivery's id is, which is remembered far longer than any sender repeats.
TOLERANCE_SECONDS = 300

#: The names of the headers of Standard Webhooks: those of the specification, and those of Svix, where it began.
FAMILIES = ("webhook-", "svix-")
PARTS = ("id", "timestamp", "signature")

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of such secrets


class BadSignature(Exception):
    """Raised when a delivery is not proven to come from its source; names what is wrong, never the right value."""


class BadSecret(ValueError):
    """Raised when a secret does not have the form that its scheme needs."""


@dataclass(frozen=True)
class Signed:
    """A delivery and the keys that may have signed it; the scheme "hmac" reads `header`."""

    headers: Mapping[str, str]
    body: bytes
    keys: tuple[bytes, ...]
    header: str = ""
    now: float = field(default_factory=time.time)  #: seconds since 1970

    def require(self, name: str) -> str:
        """Return a header; raise BadSignature if it is missing or empty."""
        value = self.headers.get(name, "")
        if not value:
            raise BadSignature(f"there is no header {name}")
        return value


@dataclass(frozen=True)
class Scheme:
    """The way in which a kind of sender signs, and in which the text of its secret becomes a key.

    `verify` returns the headers, in which the names of what is signed have no other value.
    """

    verify: Callable[[Signed], Mapping[str, str]]
    key: Callable[[str], bytes] = str.encode


def verify_standard(signed: Signed) -> Mapping[str, str]:
    """Verify Standard Webhooks 1.0: `v1,` and the base64 of HMAC-SHA256 over id, time and body; several are allowed.

    The three headers are of one family, `webhook-…` or `svix-…`. If a delivery has signatures of both, one has to be valid.

    Returns:
        The headers, in which both families have the values that were signed: another id would make it another delivery.

    """
    named = [family for family in FAMILIES if any(signed.headers.get(family + part) for part in PARTS)]
    families = [family for family in named if signed.headers.get(f"{family}signature")] or named or FAMILIES
    refusals = []
    for family in families:
        try:
            values = _verify_family(signed, family)
        except BadSignature as error:
            refusals.append(error)
        else:
            both = {f"{other}{part}": value for other in FAMILIES for part, value in zip(PARTS, values, strict=True)}
            return Headers({**signed.headers, **both})
    raise refusals[0]


def _verify_family(signed: Signed, family: str) -> tuple[str, str, str]:
    """Return the id, the time and the signatures of one family of headers."""
    delivery, sent_at = signed.require(f"{family}id"), signed.require(f"{family}timestamp")
    signatures = signed.require(f"{family}signature")
    if "." in delivery:
        raise BadSignature(f"{family}id contains a dot, which makes the signed text ambiguous")
    _check_time(sent_at, signed.now, f"{family}timestamp")
    content = b".".join([_bytes(delivery), _bytes(sent_at), signed.body])
    if not any(each.startswith("v1,") for each in signatures.split(" ")):
        raise BadSignature(f"{family}signature has no signature of version v1")
    _check_any((b"v1," + base64.b64encode(_hmac(key, content)) for key in signed.keys), signatures.split(" "))
    return delivery, sent_at, signatures


def verify_github(signed: Signed) -> Mapping[str, str]:
    """Verify GitHub's scheme: `sha256=` and the hex of HMAC-SHA256 over the body."""
    signature = signed.require("X-Hub-Signature-256")
    _check_any((b"sha256=" + _hmac(key, signed.body).hex().encode() for key in signed.keys), [signature])
    return signed.headers


def verify_hmac(signed: Signed) -> Mapping[str, str]:
    """Verify the hex of HMAC-SHA256 over the body, in a header that the source names, with or without `sha256=`."""
    signature = signed.require(signed.header).removeprefix("sha256=")
    _check_any((_hmac(key, signed.body).hex().encode() for key in signed.keys), [signature.lower()])
    return signed.headers


def standard_key(secret: str) -> bytes:
    """Return the key in a `whsec_…` text; raise BadSecret if there is none."""
    text = secret.removeprefix(_SECRET_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key or text == secret:
        raise BadSecret("it must be whsec_ and then base64")
    return key


#: Every scheme that a row of the table may name. A new one is a function above and a line here.
SCHEMES = {
    "standard": Scheme(verify_standard, standard_key),
    "github": Scheme(verify_github),
    "hmac": Scheme(verify_hmac),
}


def _check_time(text: str, now: float, name: str) -> None:
    if not (text.isascii() and text.isdecimal() and len(text) <= len("9999999999")):
        raise BadSignature(f"{name} is not a number of seconds since 1970")
    if abs(now - int(text)) > TOLERANCE_SECONDS:
        raise BadSignature(f"{name} is more than {TOLERANCE_SECONDS} seconds away from this machine's clock")


def _check_any(valid: Iterable[bytes], signatures: Iterable[str]) -> None:
    """Raise BadSignature if no signature is valid; compare all pairs, so that the time taken reveals nothing."""
    candidates = [_bytes(each) for each in signatures]
    matches = [hmac.compare_digest(each, candidate) for each in valid for candidate in candidates]
    if not any(matches):
        raise BadSignature("no signature was made from this body with a known secret")


def _hmac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")


def _bytes(text: str) -> bytes:
    """Return a header's bytes as they were sent."""
    return text.encode("latin-1", "replace")
