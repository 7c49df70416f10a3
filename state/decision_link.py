"""Links that lead to the page on which one key is decided: `PUBLIC_URL/decide/{token}`.

A token names the key and the version of it that the alert told of. It is signed, expires, and decides once. The version
protects the key: a link to what has changed meanwhile decides nothing, whatever else holds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote

import settings
from state import private
from state.redis import client
from state.redis.keys import Keys

#: Seconds that a link may decide after it was made.
MAX_AGE = 24 * 3600
#: The name of the secret in STATE_DIR/secrets.
SECRET = "decision-links"  # noqa: S105 - its name, not the secret
#: Bytes of a signature: 144 bits, which need no padding in base64.
_SIGNATURE_BYTES = 18
#: Characters of a token that is looked at.
_MAX_TOKEN = 8_000


class UnusableLink(Exception):
    """Raised for a link that this installation did not make, or that has expired; the message is a sentence for a person."""


@dataclass(frozen=True)
class Link:
    """The key that a link decides about, and the version of it that was seen when the link was made."""

    agent: str
    key: str
    version: str
    expires: int  #: seconds since 1970


def decision_link(agent: str, key: str, version: str) -> str:
    """Return the absolute URL of the page that decides about this version of a key, without signing in.

    Raises:
        OSError: The secret that signs links cannot be read or made.

    """
    fields = [agent, key, version, int(time.time()) + MAX_AGE]
    data = _encoded(json.dumps(fields, ensure_ascii=False).encode(errors="surrogatepass"))
    return page_url(f"/decide/{data}.{_signature(data)}")


def page_url(path: str) -> str:
    """Return the absolute URL of a page of the desk; `path` begins with a slash, as from `key_path`."""
    return f"{settings.current().public_url}{path}"


def key_path(agent: str, key: str) -> str:
    """Return the path of the page of a key."""
    return f"/keys/{quote(agent, safe='')}/{quote(key, safe='', errors='replace')}"


def read(token: str) -> Link:
    """Return what a token decides about; whether it was used already, `is_spent` tells.

    Raises:
        UnusableLink: The token was not made here, or has expired.
        OSError: The secret that signs links cannot be read or made.

    """
    data, _, signature = token[:_MAX_TOKEN].rpartition(".")
    if not hmac.compare_digest(_signature(data).encode(), signature.encode(errors="replace")):
        raise UnusableLink("this is not a link that this Gatehouse made; copy the whole address from the alert")
    try:
        agent, key, version, expires = json.loads(base64.urlsafe_b64decode(f"{data}{'=' * (-len(data) % 4)}"))
    except (ValueError, binascii.Error):  # signed by an earlier version
        raise UnusableLink("this link was made by another version of Gatehouse; sign in to decide") from None
    if expires < time.time():
        raise UnusableLink("this link has expired: it decides for a day; sign in to decide")
    return Link(agent, key, version, expires)


def is_spent(token: str) -> bool:
    """Return whether a token has decided. Raises StoreError."""
    return bool(client.client().exists(_spent(token)))


def spend(token: str) -> bool:
    """Use a token up; return False if it was used before. Raises StoreError."""
    return bool(client.client().set(_spent(token), "1", nx=True, ex=MAX_AGE))


def give_back(token: str) -> None:
    """Make a token usable again whose decision changed nothing. Raises StoreError."""
    client.client().delete(_spent(token))


def _spent(token: str) -> str:
    return Keys.spent_link(hashlib.sha256(token.encode(errors="replace")).hexdigest()[:32])


def _signature(data: str) -> str:
    digest = hmac.digest(_key(), f"decide\0{data}".encode(errors="replace"), "sha256")
    return _encoded(digest[:_SIGNATURE_BYTES])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@cache
def _key() -> bytes:
    return private.secret(SECRET).encode()
