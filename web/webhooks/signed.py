"""The parts that all schemes of signatures share: the signed delivery, the two errors, and the checks."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.datastructures import Headers

#: Seconds by which a sender's clock may differ, as in the specifications of Standard Webhooks, Stripe and Slack. This is
#: not a protection against replay: the delivery's id is, which is remembered far longer than any sender repeats.
TOLERANCE_SECONDS = 300


class BadSignature(Exception):
    """Raised when a delivery is not proven to come from its source; names what is wrong, never the right value."""


class BadSecret(ValueError):
    """Raised when a secret does not have the form that its scheme needs."""


class PublicKey(Protocol):
    """The key of a sender that signs with a private key of its own."""

    def verifies(self, signature: bytes, content: bytes) -> bool: ...


Key = bytes | PublicKey


@dataclass(frozen=True)
class Signed:
    """A delivery and the keys that may have signed it; the scheme "hmac" reads `header`."""

    headers: Mapping[str, str]
    body: bytes
    keys: tuple[Key, ...]
    header: str = ""
    now: float = field(default_factory=time.time)  #: seconds since 1970

    @property
    def shared(self) -> tuple[bytes, ...]:
        """The keys that the sender and this installation share."""
        return tuple(key for key in self.keys if isinstance(key, bytes))

    @property
    def public(self) -> tuple[PublicKey, ...]:
        """The keys that only verify."""
        return tuple(key for key in self.keys if not isinstance(key, bytes))

    def require(self, name: str) -> str:
        """Return a header; raise BadSignature if it is missing, empty or repeated.

        A proxy before this server may have looked at another one of several.
        """
        values = self.headers.getlist(name) if isinstance(self.headers, Headers) else [self.headers.get(name, "")]
        if len(values) > 1:
            raise BadSignature(f"there are {len(values)} headers {name}; send one")
        if not values or not values[0]:
            raise BadSignature(f"there is no header {name}")
        return values[0]

    def check_time(self, text: str, name: str) -> None:
        """Raise BadSignature unless a text is a number of seconds since 1970 that is near this machine's clock.

        Args:
            text: The number.
            name: The header that has it, for the message.

        """
        if not (text.isascii() and text.isdecimal() and len(text) <= len("9999999999")):
            raise BadSignature(f"{name} is not a number of seconds since 1970")
        if abs(self.now - int(text)) > TOLERANCE_SECONDS:
            raise BadSignature(f"{name} is more than {TOLERANCE_SECONDS} seconds away from this machine's clock")


@dataclass(frozen=True)
class Scheme:
    """The way in which a kind of sender signs, and in which the text of its secret becomes a key."""

    #: Returns the headers, in which the names of what is signed have no other value.
    verify: Callable[[Signed], Mapping[str, str]]
    key: Callable[[str], Key] = str.encode
    #: Whether a sender repeats a delivery byte by byte. If it does not, the delivery's id must be in the signed body.
    repeats_bytes: bool = True
    #: Returns the answer to a delivery that only asks whether somebody listens; None for all others.
    greet: Callable[[Mapping[str, Any]], dict[str, str] | None] = lambda _: None


def check_any(valid: Iterable[bytes], signatures: Iterable[str], name: str) -> None:
    """Raise BadSignature if no signature is valid; compare all pairs, so that the time taken reveals nothing.

    Args:
        valid: What each key makes of the delivery.
        signatures: What the sender sent.
        name: The header that has the signatures, for the message.

    """
    candidates = [sent_bytes(each) for each in signatures]
    matches = [hmac.compare_digest(each, candidate) for each in valid for candidate in candidates]
    if not any(matches):
        raise mismatch(name)


def mismatch(name: str) -> BadSignature:
    """Return the error for a header whose signatures are all wrong."""
    return BadSignature(f"no signature in {name} was made from this body with a known secret")


def digest(key: bytes, content: bytes) -> bytes:
    """Return the HMAC-SHA256 of a content."""
    return hmac.digest(key, content, "sha256")


def sent_bytes(text: str) -> bytes:
    """Return a header's bytes as they were sent."""
    return text.encode("latin-1", "replace")
