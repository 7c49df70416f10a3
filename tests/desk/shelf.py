"""Keys that wait for a person, made as an attempt makes them."""

from __future__ import annotations

import json
from typing import Any

from redis import Redis

from state.agents import state_file
from state.model import Claim
from tests.scripts.poster import AGENT, Poster, a_gate


class Shelf:
    """One agent whose keys wait."""

    def __init__(self, redis: Redis) -> None:
        self.poster = Poster(redis, a_gate()).open()
        state_file.write(AGENT)  # an agent without tasks is known by its file

    def in_doubt(self, post_id: str = "hello", payload: Any = "Hello") -> str:
        """A key whose effect began and whose answer was lost; return it."""
        claim = self.poster.claim(post_id)
        self.poster.cross(claim, json.dumps(payload))
        self.poster.settle(claim, "unknown", error="no answer within 20 s")
        return claim.key

    def poison(self, post_id: str = "poison") -> str:
        """A key whose call took three workers down before it sent anything; return it."""
        call = self.poster.register(self.poster.call(post_id))
        claim: Claim | None = None
        for _ in range(3):
            claim = self.poster.claim(call)
            self.poster.reclaim(claim, dead=True)
        assert claim
        return claim.key

    def asks(self, post_id: str = "ask", payload: Any = "Hello") -> str:
        """A key whose agent asks before it sends this; return it."""
        claim = self.poster.claim(post_id)
        assert self.poster.ask(claim, json.dumps(payload)) is None
        return claim.key

    def state(self, key: str) -> str:
        return str(self.poster.redis.hget(self.poster.n.key(key), "state"))
