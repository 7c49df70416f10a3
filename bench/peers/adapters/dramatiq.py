"""Dramatiq as it comes.

https://dramatiq.io/best_practices.html#retriable-actors: an actor "may receive the same message multiple times in the event
of a worker failure", so "running your actor multiple times must be safe"; it has no other advice against duplicates.
"""

from __future__ import annotations

import dramatiq

from bench.peers.adapters import dramatiq_broker, effect, processed

dramatiq_broker.use()
actor = dramatiq.actor(effect.publish, actor_name="publish", **dramatiq_broker.RETRIES)


def nothing(n: int) -> None:  # noqa: ARG001 - each call has an argument of its own
    """Do nothing."""
    processed.count()


noop = dramatiq.actor(nothing, actor_name="noop")


def enqueue(n: int) -> None:
    """Ask for the task that does nothing."""
    noop.send(n)


def call(key: str) -> None:
    """Ask for a key."""
    actor.send(key)
