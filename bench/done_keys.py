"""Done keys in bulk: copies of one real call, so that a server holds as much as an installation of some years."""

from __future__ import annotations

from itertools import islice

from redis import Redis

from bench.agents import noop
from bench.success import result
from state.ledger import Ledger
from state.model import Claim
from state.redis.keys import Keys

#: Calls copied by one script.
BATCH_SIZE = 2000
#: The call whose records are copied.
COPIED = "copied"
#: Ends the time for which each copy is kept, in ms.
KEEP_MS = 7 * 86_400_000

#: Restores the records of one call (ARGV[2], ARGV[3]) under the names of others.
_COPY = """
for i = 4, #ARGV do
  redis.call("RESTORE", KEYS[1] .. ARGV[i], ARGV[1], ARGV[2])
  redis.call("RESTORE", KEYS[2] .. ARGV[i], ARGV[1], ARGV[3])
end
"""


def fill(redis: Redis, calls: int) -> None:
    """Make so many calls of a repeat-safe task that are done, each with its key."""
    if not calls:
        return
    prefixes, dumps = _one_call(redis)
    numbers = iter(range(calls))
    while batch := [f"before-{number}" for number in islice(numbers, BATCH_SIZE)]:
        redis.eval(_COPY, 2, *prefixes, KEEP_MS, *dumps, *batch)


def _one_call(redis: Redis) -> tuple[list[str], list[bytes]]:
    """Bring one call to its end; return the names of its key and of its record without the call's id, and what they hold."""
    ledger, gate, n = Ledger(redis), noop.nothing.spec, Keys("noop")
    call, limits = gate.call_with({"n": 0}, id=COPIED, origin="bench"), gate.limits({"n": 0})
    ledger.register(call)
    claim = ledger.admit(call, limits)
    if not isinstance(claim, Claim):
        raise TypeError(f"the call to be copied was not admitted: {claim}")
    ledger.settle(call, claim, limits, result(claim))
    names = [n.key(call.key), n.call(call.id)]
    return [name.removesuffix(COPIED) for name in names], [redis.dump(name) for name in names]
