"""The faults, one file per family; importing this package registers them all."""

from tests.torture.faults import (
    approvals,
    broker,
    clocks,
    disks,
    doors,
    journals,
    kills,
    losses,
    messages,
    mirrors,
    pauses,
    redis,
    replies,
    revokes,
    scarcity,
    storm,
)

__all__ = [
    "approvals", "broker", "clocks", "disks", "doors", "journals", "kills", "losses", "messages", "mirrors", "pauses", "redis", "replies", "revokes",
    "scarcity", "storm",
]  # fmt: skip
