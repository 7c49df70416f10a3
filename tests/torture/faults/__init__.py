"""The faults, one file per family; importing this package registers them all."""

from tests.torture.faults import (
    approvals,
    broker,
    clocks,
    databases,
    databases_lost,
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
    sentinels,
    storm,
)

__all__ = [
    "approvals", "broker", "clocks", "databases", "databases_lost", "disks", "doors", "journals", "kills", "losses", "messages", "mirrors", "pauses", "redis", "replies", "revokes",
    "scarcity", "sentinels", "storm",
]  # fmt: skip
