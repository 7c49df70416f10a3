"""The crier: publishes as the publisher does, and proves what became of it in seconds."""

from __future__ import annotations

import gatekeeper
from clients import content, destinations
from clients.content import Post
from clients.destinations import Destination, Published
from gatekeeper import Effect


def find(post: Post, destination: Destination) -> Published | None:
    return destinations.get(destination).find(post)


@gatekeeper.task(
    key="cry:{destination}:{post_id}",
    effect=Effect(verify=find, drain="1s", every="1s"),
    lease="5s",
    attempts=5,
    backoff="300ms",
)
def cry(post_id: str, destination: Destination) -> Published:
    """Publish the named post."""
    post = content.load(post_id)
    with gatekeeper.effect(payload=post) as frozen:
        return destinations.get(destination).publish(frozen)
