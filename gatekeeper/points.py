"""Recovery points: what a provider gave in the first of two steps, kept with the key for every later attempt."""

from __future__ import annotations

from gatekeeper.attempt import current
from gatekeeper.errors import ClaimLost


def recall(name: str) -> str | None:
    """What an attempt of this key kept under `name`, or None."""
    attempt = current()
    return attempt.patiently(lambda: attempt.ledger.point(attempt.claim, name))


def keep(name: str, value: str) -> None:
    """Keep `value` for every later attempt of this key; it is on the disk when this returns.

    Raises ClaimLost if the key belongs to another attempt by now, and JournalUnavailable.
    """
    attempt = current()
    attempt.ledger.write_point(attempt.claim, name, value)
    if not attempt.patiently(lambda: attempt.ledger.keep_point(attempt.claim, name, value)):
        raise ClaimLost(
            attempt.claim.agent, attempt.claim.key, f"before {name} could be kept; somebody else has the key"
        )
    attempt.tell("recovery point", name=name, value=value)
