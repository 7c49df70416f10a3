"""Standard Webhooks 1.0: id, time and body, signed with a shared secret (`v1,`) or the sender's private key (`v1a,`)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from web.webhooks import signed as shared
from web.webhooks.signed import BadSecret, BadSignature, Key, Signed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

#: The names of the headers: those of the specification, and those of Svix, where it began.
FAMILIES = ("webhook-", "svix-")
PARTS = ("id", "timestamp", "signature")

_SECRET, _PUBLIC, _PRIVATE = "whsec_", "whpk_", "whsk_"  # the marks of secrets
_ED25519_BYTES = 32
#: Signatures of a private key that are read: each takes a tenth of a millisecond, and a header has room for hundreds.
_MAX_PRIVATE = 10


@dataclass(frozen=True)
class _Ed25519Key:
    public: Ed25519PublicKey

    def verifies(self, signature: bytes, content: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see key

        try:
            self.public.verify(signature, content)
        except InvalidSignature:
            return False
        return True


def key(secret: str) -> Key:
    """Return the key in a text: `whsec_` and a shared key, or `whpk_` and the sender's public key, each in base64.

    Raises:
        BadSecret: It is neither.

    """
    if secret.startswith(_PRIVATE):
        raise BadSecret(f"{_PRIVATE}… is the sender's private key, which it should not tell; write its {_PUBLIC}… key")
    if secret.startswith(_PUBLIC):
        raw = _decode(secret.removeprefix(_PUBLIC))
        if len(raw) != _ED25519_BYTES:
            raise BadSecret(f"{_PUBLIC} must be followed by the base64 of {_ED25519_BYTES} bytes")
        # Takes 4 MB, which no other secret needs.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

        return _Ed25519Key(Ed25519PublicKey.from_public_bytes(raw))
    raw = _decode(secret.removeprefix(_SECRET))
    if not raw or not secret.startswith(_SECRET):
        raise BadSecret(f"it must be {_SECRET} and then base64, or {_PUBLIC} and a public key in base64")
    return raw


def verify(signed: Signed) -> Mapping[str, str]:
    """Verify that one of the signatures is `v1,` and the base64 of HMAC-SHA256, or `v1a,` and that of Ed25519.

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
    name = f"{family}signature"
    signatures = signed.require(name)
    if "." in delivery:
        raise BadSignature(f"{family}id contains a dot, which makes the signed text ambiguous")
    signed.check_time(sent_at, f"{family}timestamp")
    content = b".".join([shared.sent_bytes(delivery), shared.sent_bytes(sent_at), signed.body])
    _check_versions(signed, signatures.split(" "), content, name)
    return delivery, sent_at, signatures


def _check_versions(signed: Signed, signatures: list[str], content: bytes, name: str) -> None:
    """Raise BadSignature unless one signature is valid, of a version for which this source has a key."""
    known = {"v1": bool(signed.shared), "v1a": bool(signed.public)}
    usable = [version for version, has_key in known.items() if has_key]
    versions = {each.partition(",")[0] for each in signatures if "," in each}
    if not versions & set(usable):
        raise BadSignature(f"{name} has no signature of version {' or '.join(usable or known)}")
    private = [each.removeprefix("v1a,") for each in signatures if each.startswith("v1a,")][:_MAX_PRIVATE]
    if any(key.verifies(_decode(each), content) for each in private for key in signed.public):
        return
    made = (b"v1," + base64.b64encode(shared.digest(key, content)) for key in signed.shared)
    shared.check_any(made, signatures, name)


def _decode(text: str) -> bytes:
    """Return the bytes of a base64 text, which may lack its padding; b"" if it is not base64."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
