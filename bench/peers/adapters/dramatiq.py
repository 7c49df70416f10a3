"""Dramatiq as it comes.

https://dramatiq.io/best_practices.html#retriable-actors: an actor "may receive the same message multiple times in the event
of a worker failure", so "running your actor multiple times must be safe"; it has no other advice against duplicates.
"""

from __future__ import annotations

import dramatiq

from bench.peers.adapters import dramatiq_broker, effect

dramatiq_broker.use()
actor = dramatiq.actor(effect.publish, actor_name="publish", **dramatiq_broker.RETRIES)


def call(key: str) -> None:
    """Ask for a key."""
    actor.send(key)
