"""The mirror: one JSON file per agent, a photograph of Redis. It is written whole and never runs ahead of Redis."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from redis import Redis

import settings
from state.agent import revisions, snapshot
from state.files import write_whole


class Mirror:
    """Writes the files of the agents that changed since this object last looked."""

    def __init__(self, redis: Redis, agents: list[str]) -> None:
        self._redis = redis
        self._agents = agents
        self._written: dict[str, int] = {}

    def refresh(self) -> list[str]:
        """Write what changed; answers the agents whose file is new."""
        stale = [a for a, r in revisions(self._redis, self._agents).items() if self._written.get(a) != r]
        for agent in stale:
            self._written[agent] = write(self._redis, agent)
        return stale


def path(agent: str) -> Path:
    """Where this agent's state file is."""
    return settings.current().agents_dir / f"{agent}.json"


def write(redis: Redis, agent: str) -> int:
    """Photograph one agent; answers the revision written.

    Redis is read inside the lock: of two processes that write, the later one also has the newer state.
    """
    file = path(agent)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(settings.current().agents_dir / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        now = snapshot(redis, agent)
        text = json.dumps(now.document(), indent=2, ensure_ascii=False)
        write_whole(file, text.encode() + b"\n")
    finally:
        os.close(lock)
    return now.revision
