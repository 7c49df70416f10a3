"""How senders sign: one function per scheme. Each takes the raw bytes as they came and raises BadSignature, or is content.

Every secret of a source may sign, so that one can be exchanged for another without losing a delivery.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

#: Seconds by which a sender's clock may differ, as in the specification of Standard Webhooks. It is no protection against
#: repetition: that is the delivery's id, which is remembered far longer than any sender repeats.
TOLERANCE = 300

_WHSEC = "whsec_"


class BadSignature(Exception):
    """Raised when a delivery is not proven to come from its source; says which part is wrong, never what is right."""


class BadSecret(ValueError):
    """Raised when a secret cannot be one of this scheme."""


@dataclass(frozen=True)
class Signed:
    """What came in and the keys that may have signed it; `header` is where the scheme "hmac" looks."""

    headers: Mapping[str, str]
    body: bytes
    keys: tuple[bytes, ...]
    header: str = ""
    now: float = field(default_factory=time.time)

    def part(self, name: str) -> str:
        value = self.headers.get(name, "")
        if not value:
            raise BadSignature(f"there is no header {name}")
        return value


@dataclass(frozen=True)
class Scheme:
    """How a kind of sender signs, and what the text of its secret means."""

    verify: Callable[[Signed], None]
    key: Callable[[str], bytes] = str.encode


def standard(signed: Signed) -> None:
    """Standard Webhooks 1.0: `v1,` and base64 of HMAC-SHA256 over id, time and body; several stand side by side."""
    delivery, sent_at = signed.part("webhook-id"), signed.part("webhook-timestamp")
    given = signed.part("webhook-signature").split(" ")
    if "." in delivery:
        raise BadSignature("webhook-id holds a dot, so that what was signed could be read in two ways")
    _check_time(sent_at, signed.now)
    content = b".".join([_bytes(delivery), _bytes(sent_at), signed.body])
    valid = (b"v1," + base64.b64encode(_hmac(key, content)) for key in signed.keys)
    _check_any(valid, given)


def github(signed: Signed) -> None:
    """GitHub: `sha256=` and hex of HMAC-SHA256 over the body."""
    given = signed.part("X-Hub-Signature-256")
    _check_any((b"sha256=" + _hmac(key, signed.body).hex().encode() for key in signed.keys), [given])


def generic(signed: Signed) -> None:
    """Hex of HMAC-SHA256 over the body, in a header of the sender's choice, with `sha256=` before it or without."""
    given = signed.part(signed.header).removeprefix("sha256=")
    _check_any((_hmac(key, signed.body).hex().encode() for key in signed.keys), [given.lower()])


def standard_key(secret: str) -> bytes:
    """The key in a `whsec_…` text."""
    text = secret.removeprefix(_WHSEC)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key or text == secret:
        raise BadSecret("it must be whsec_ and then base64")
    return key


#: Every scheme that a row of the table may name. A new one is a function above and a line here.
SCHEMES = {
    "standard": Scheme(standard, standard_key),
    "github": Scheme(github),
    "hmac": Scheme(generic),
}


def _check_time(text: str, now: float) -> None:
    if not (text.isascii() and text.isdecimal() and len(text) <= len("9999999999")):
        raise BadSignature("webhook-timestamp is no number of seconds since 1970")
    if abs(now - int(text)) > TOLERANCE:
        raise BadSignature(f"webhook-timestamp is more than {TOLERANCE} seconds away from this machine's clock")


def _check_any(valid: Iterable[bytes], given: Iterable[str]) -> None:
    """All are compared with all, so that the time it takes tells nothing."""
    candidates = [_bytes(one) for one in given]
    matches = [hmac.compare_digest(one, candidate) for one in valid for candidate in candidates]
    if not any(matches):
        raise BadSignature("no signature of this body by a secret that is known here")


def _hmac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")


def _bytes(text: str) -> bytes:
    """A header as it came over the wire."""
    return text.encode("latin-1", "replace")
