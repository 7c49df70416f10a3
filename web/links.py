"""The address of a call's page, for whoever made the call: it carries a signature that nobody else can make.

A call's id can be guessed. That of a tick is its entry and its time, that of a webhook is what the sender chose.
"""

from __future__ import annotations

import base64
import hmac
from functools import cache
from urllib.parse import quote

import settings
from state import private

#: The parameter of the address; `gatekeeper.redact` hides it in every log line.
PARAMETER = "sig"

#: The name of the secret in STATE_DIR/secrets.
SECRET = "status-links"  # noqa: S105 - its name, not the secret
#: Bytes of a signature: 144 bits, which need no padding in base64.
_LENGTH = 18


def of_call(call: str) -> str:
    """The signed address of this call's page; raises OSError if the secret cannot be read or made."""
    return f"{settings.current().public_url}/calls/{quote(call, safe='')}?{PARAMETER}={_signature(call)}"


def is_signed(call: str, signature: str) -> bool:
    """Whether this signature was made for this call; raises OSError if the secret cannot be read or made."""
    return hmac.compare_digest(_signature(call).encode(), signature.encode(errors="replace"))


def _signature(call: str) -> str:
    digest = hmac.digest(_key(), f"call\0{call}".encode(errors="surrogatepass"), "sha256")
    return base64.urlsafe_b64encode(digest[:_LENGTH]).decode()


@cache
def _key() -> bytes:
    return private.secret(SECRET).encode()
