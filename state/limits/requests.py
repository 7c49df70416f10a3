"""How much may come in from one source, counted for all processes together."""

from __future__ import annotations

from redis import Redis

from state.redis.client import Script

_throttle = Script("throttle")


def name(source: str) -> str:
    """hash: tat_ms (theoretical arrival time); the slash keeps its hash tag apart from those of agents"""
    return f"gate:{{source/{source}}}:rate"


def wait(redis: Redis, source: str, burst: int, every_ms: float) -> float:
    """Let one through, or answer the seconds until the next may come; what has to wait takes nothing."""
    match _throttle(redis, [name(source)], [burst, str(every_ms)]):
        case ["wait", ms]:
            return int(ms) / 1000
    return 0.0
