"""The signed address of a call's page, which only this installation can make.

The id of a call can be guessed: a schedule run's id is its entry and its time, and a webhook's sender chooses its id.
"""

from __future__ import annotations

import base64
import hmac
from functools import cache
from urllib.parse import quote

import structlog
from starlette.exceptions import HTTPException

import settings
from gatekeeper.redact import clean
from state import private
from web import blocking, problems

log = structlog.get_logger("gatehouse.web")

#: The query parameter that holds the signature; `gatekeeper.redact` hides it in every log line.
PARAMETER = "sig"

#: The name of the secret in STATE_DIR/secrets.
SECRET = "status-links"  # noqa: S105 - its name, not the secret
#: Bytes of a signature: 144 bits, which need no padding in base64.
_SIGNATURE_BYTES = 18


def signed_url(call: str) -> str:
    """Return the signed address of this call's page; raise HTTPException 503 if the secret cannot be read or made."""
    return f"{settings.current().public_url}/calls/{quote(call, safe='')}?{PARAMETER}={_signature(call)}"


def is_signed(call: str, signature: str) -> bool:
    """Return whether this signature belongs to this call; raise HTTPException 503 if the secret cannot be read or made."""
    return hmac.compare_digest(_signature(call).encode(), signature.encode(errors="replace"))


def _signature(call: str) -> str:
    try:
        key = _key()
    except OSError as error:
        log.error(  # noqa: TRY400 - the sentence says all
            "status addresses cannot be signed",
            error=clean(str(error)),
            hint="let this user read and write STATE_DIR/secrets",
        )
        retry = problems.retry_after(blocking.RETRY_SECONDS)
        raise HTTPException(503, "this server cannot sign addresses now; retry later", retry) from error
    digest = hmac.digest(key, f"call\0{call}".encode(errors="surrogatepass"), "sha256")
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode()


@cache
def _key() -> bytes:
    return private.secret(SECRET).encode()
