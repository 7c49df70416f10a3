"""Recovery points: what a provider gave in the first of two steps, kept with the key for every later attempt."""

from __future__ import annotations

import hashlib
import json

from gatekeeper.errors import ClaimLost
from gatekeeper.run.attempt import Attempt, current


def recall(name: str) -> str | None:
    """What an attempt of this key kept under `name`, or None.

    What was kept behind the line belongs to the payload that was frozen there, and is found for that one only: the first
    of two steps with another text is another first step.
    """
    attempt = current()
    return attempt.patiently(lambda: attempt.ledger.point(attempt.claim, name, _text(attempt)))


def keep(name: str, value: str) -> None:
    """Keep `value` for every later attempt of this key; it is on the disk when this returns.

    Raises ClaimLost if the key belongs to another attempt by now, and JournalUnavailable.
    """
    attempt = current()
    text = _text(attempt)
    attempt.ledger.write_point(attempt.claim, name, value, text)
    if not attempt.patiently(lambda: attempt.ledger.keep_point(attempt.claim, name, value, text)):
        raise ClaimLost(
            attempt.claim.agent, attempt.claim.key, f"before {name} could be kept; somebody else has the key"
        )
    attempt.tell("recovery point", name=name, value=value)


def _text(attempt: Attempt) -> str:
    """A name for the frozen payload, however its JSON is spelled; empty before the line."""
    if attempt.line == "before" or not attempt.payload:
        return ""
    plain = json.dumps(json.loads(attempt.payload), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]
