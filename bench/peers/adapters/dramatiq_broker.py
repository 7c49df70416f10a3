"""Dramatiq's Redis broker, for both ways of using it.

https://dramatiq.io/reference.html#dramatiq.brokers.redis.RedisBroker: a broker is taken for dead after `heartbeat_timeout`,
5 s here instead of 60, and `maintenance_chance` lets each command look for dead ones, so that a delivery after a death can
be watched; the bench of speed has the defaults. https://dramatiq.io/guide.html#message-retries: `max_retries` and the backoff are options of the actor.
"""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.peers.adapters.purpose import SPEED

#: Out of a million.
EVERY_TIME = 1_000_000
DEAD_AFTER_MS = 5_000

RETRIES: dict[str, Any] = {"max_retries": 3, "min_backoff": 1_000, "max_backoff": 1_000}


def use() -> None:
    """Make it the broker of this process."""
    url = os.environ["REDIS_URL"]
    if SPEED:
        dramatiq.set_broker(RedisBroker(url=url))
        return
    dramatiq.set_broker(RedisBroker(url=url, heartbeat_timeout=DEAD_AFTER_MS, maintenance_chance=EVERY_TIME))
