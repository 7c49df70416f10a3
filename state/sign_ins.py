"""The sessions of the desk, and a count of the tries to begin one: in Redis, so that a sign-out holds at once everywhere."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from functools import cache
from typing import cast

from state import private
from state.redis import client
from state.redis.keys import Keys

#: Seconds that a person stays signed in: a working day.
SESSION_SECONDS = 8 * 3600
#: Seconds in which tries are counted together.
WINDOW_SECONDS = 600
#: Tries from one address, and from all addresses, in that time. A person mistypes a password a few times; the second
#: number stops a guesser with many addresses at some thousand tries a day, against which a password of four words holds.
MAX_OF_ADDRESS, MAX_OF_ALL = 5, 50
#: The name of the secret in STATE_DIR/secrets that ties a session to the password.
SECRET = "desk-sessions"  # noqa: S105 - its name, not the secret
#: Bits of an IPv6 address that tell customers of a provider apart.
_IPV6_PREFIX = 64


@dataclass(frozen=True)
class Tries:
    """The answer to one more try: whether it is allowed, and if not, in how many seconds."""

    allowed: bool
    retry_after: int = 0


def begin(name: str, password: str) -> str:
    """Sign a person in; return the id of the session, which is a secret of the person's browser.

    Args:
        name: The person's name for the audit.
        password: The password of the desk, which is not stored: a session ends when it changes.

    Raises:
        StoreError: Redis does not answer.

    """
    session = secrets.token_urlsafe(32)
    record = {"name": name, "tied_to": _tie(password)}
    with client.client().pipeline(transaction=True) as pipe:
        pipe.hset(_name(session), mapping=record).expire(_name(session), SESSION_SECONDS).execute()
    return session


def find(session: str, password: str) -> str | None:
    """Return the name of the person who has this session; None if it ended. Raises StoreError."""
    name, tie = client.client().hmget(_name(session), "name", "tied_to")
    is_tied = name is not None and hmac.compare_digest(str(tie).encode(), _tie(password).encode())
    return str(name) if is_tied else None


def end(session: str) -> None:
    """Sign out: the session is worth nothing from now on, in any browser. Raises StoreError."""
    client.client().delete(_name(session))


def count_try(address: str) -> Tries:
    """Count one try before the password is compared, so that tries at the same time count too. Raises StoreError."""
    limits = {_counter(address): MAX_OF_ADDRESS, _counter(""): MAX_OF_ALL}
    with client.client().pipeline(transaction=True) as pipe:
        for name in limits:
            pipe.set(name, 0, nx=True, ex=WINDOW_SECONDS).incr(name).ttl(name)
        answers = pipe.execute()
    full = [
        max(1, ttl) for (_, count, ttl), most in zip(_threes(answers), limits.values(), strict=True) if count > most
    ]
    return Tries(not full, max(full, default=0))


def forget_tries(address: str) -> None:
    """Take the tries of an address back that has shown the password. Raises StoreError."""
    with client.client().pipeline(transaction=True) as pipe:
        pipe.delete(_counter(address)).decr(_counter("")).expire(_counter(""), WINDOW_SECONDS, nx=True).execute()


def _threes(answers: list[int]) -> list[tuple[int, int, int]]:
    return [cast("tuple[int, int, int]", tuple(answers[at : at + 3])) for at in range(0, len(answers), 3)]


def _counter(address: str) -> str:
    return Keys.sign_in_tries(_neighbours(address) if address else "all")


def _neighbours(address: str) -> str:
    """Return the address, or the network that one customer of a provider has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed)


def _name(session: str) -> str:
    """Return the key of a session; a copy of Redis does not tell the ids."""
    return Keys.session(hashlib.sha256(session.encode(errors="replace")).hexdigest())


def _tie(password: str) -> str:
    return hmac.new(_key(), password.encode(), "sha256").hexdigest()


@cache
def _key() -> bytes:
    return private.secret(SECRET).encode()
