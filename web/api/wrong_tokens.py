"""Limits on wrong tokens, by the address that sends them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from clients.http.public_only import is_ip_address
from web import addresses

#: Wrong tokens that an address may send at once: a typing error in a program that starts many requests.
BURST = 20
#: Seconds until an address may send one more; a short random token is safe from so slow a search.
SECONDS_EACH = 1.0
#: Addresses that are remembered; the one that was quiet for longest is forgotten first.
MAX_ADDRESSES = 10_000
#: Bits of an IPv6 address that its owner cannot choose.
IPV6_PREFIX = 64


class WrongTokens:
    """The wrong tokens of each address, in this process.

    Args:
        now: The clock, in seconds.

    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        #: address → when all its wrong tokens are forgotten, the least recent first
        self._ends: OrderedDict[str, float] = OrderedDict()

    def seconds_to_wait(self, address: str) -> float:
        """Return the seconds until a token of this address is looked at again; 0 for now."""
        end = self._ends.get(_owner(address), 0.0)
        return max(0.0, end - self._now() - (BURST - 1) * SECONDS_EACH)

    def count(self, address: str) -> None:
        """Count one wrong token."""
        owner = _owner(address)
        self._ends[owner] = max(self._ends.pop(owner, 0.0), self._now()) + SECONDS_EACH
        if len(self._ends) > MAX_ADDRESSES:
            self._ends.popitem(last=False)


def _owner(address: str) -> str:
    """Return whose address it is: the network of an IPv6 address, of which a sender has very many."""
    if not is_ip_address(address):
        return address
    parsed = addresses.parse(address)
    return address if parsed.version == 4 else str(int(parsed) >> (128 - IPV6_PREFIX))  # noqa: PLR2004 - their versions and bits
