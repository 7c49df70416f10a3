"""Dramatiq with a distributed mutex per key.

https://dramatiq.io/cookbook.html#rate-limiting-work, in the form with the fewer duplicates: who does not get the mutex
steps back, instead of being tried again. The mutex has its default life of 15 min.
"""

from __future__ import annotations

import os

import dramatiq
from dramatiq.rate_limits import ConcurrentRateLimiter
from dramatiq.rate_limits.backends import RedisBackend

from bench.peers.adapters import dramatiq_broker, effect

dramatiq_broker.use()
locks = RedisBackend(url=os.environ["REDIS_URL"])


def publish(key: str) -> None:
    """Publish, unless another worker holds the mutex."""
    with ConcurrentRateLimiter(locks, f"publish:{key}", limit=1).acquire(raise_on_failure=False) as acquired:
        if acquired:
            effect.publish(key)


actor = dramatiq.actor(publish, actor_name="publish", **dramatiq_broker.RETRIES)


def call(key: str) -> None:
    """Ask for a key."""
    actor.send(key)
