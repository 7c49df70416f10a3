"""The pause before the next attempt of a call."""

from __future__ import annotations

import random

from gatekeeper.policies.spec import MAX_BACKOFF_MS, MAX_RETRY_AFTER
from gatekeeper.run.attempt import Attempt

#: The shortest pause after a service asked to be left alone; doubled with each time that it does so again.
MIN_PAUSE_MS = 500
#: By then every pause has reached its longest.
MAX_DOUBLINGS = 20


def after_failure_ms(attempt: Attempt, *, forgiven: bool) -> int | None:
    """Return how long to wait after a failure: an exponential back-off with jitter in its upper half.

    Args:
        attempt: The attempt that failed.
        forgiven: It is not the fault of the call, such as that this process was held up.

    Returns:
        Milliseconds, or None when the attempts are used up.

    """
    done = attempt.claim.attempt
    if done >= attempt.spec.attempts and not forgiven:
        return None
    return _jittered(attempt.spec.backoff_ms << (done - 1))


def for_service_ms(attempt: Attempt, retry_after: float | None) -> int:
    """Return how long to wait for a service.

    What the service asks for is granted, and a little more, so that not all calls come back at once. A service that asks
    for next to nothing again and again is asked less and less often all the same.

    Args:
        attempt: The attempt that the service could not take.
        retry_after: Seconds for which the service wants to be left alone, if it said so.

    Returns:
        Milliseconds.

    """
    before = min(attempt.claim.waits_before, MAX_DOUBLINGS)
    if retry_after is None:
        return _jittered(attempt.spec.backoff_ms << before)
    asked_ms = min(retry_after, MAX_RETRY_AFTER) * 1000
    least_ms = min(MIN_PAUSE_MS << before, MAX_BACKOFF_MS)
    return round(max(asked_ms * random.uniform(1, 1.05), least_ms))


def _jittered(ms: int) -> int:
    longest: int = min(ms, MAX_BACKOFF_MS)
    return round(longest * random.uniform(0.5, 1))
