"""Recovery points: what a provider gave in the first of two steps, kept with the key for every later attempt."""

from __future__ import annotations

import hashlib
import json

from gatekeeper.errors import ClaimLost
from gatekeeper.run.attempt import Attempt, current


def recall(name: str) -> str | None:
    """Return what an attempt of this key kept under a name.

    What was kept after the effect began belongs to the payload that was frozen then, and is found for that payload only:
    with another text the first of two steps has to be done again.

    Args:
        name: The name that it was kept under.

    Returns:
        The value, or None if nothing was kept.

    """
    attempt = current()
    return attempt.ledger.checkpoint(attempt.claim, name, _digest(attempt), attempt.patience)


def keep(name: str, value: str) -> None:
    """Keep a value for every later attempt of this key; it is on the disk when this returns.

    Args:
        name: What to recall it by.
        value: What the provider gave, such as the id of a container.

    Raises:
        ClaimLost: The key belongs to another attempt by now.
        JournalUnavailable: The journal could not be written.

    """
    attempt = current()
    claim = attempt.claim
    if not attempt.ledger.save_checkpoint(claim, name, value, _digest(attempt), attempt.patience):
        raise ClaimLost(claim.agent, claim.key, f"before {name} could be kept; another attempt has the key")
    attempt.append_event("recovery point", name=name, value=value)


def _digest(attempt: Attempt) -> str:
    """Return a digest of the frozen payload, however its JSON is spelled; empty before the effect."""
    if attempt.phase == "before" or not attempt.payload:
        return ""
    plain = json.dumps(json.loads(attempt.payload), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]
