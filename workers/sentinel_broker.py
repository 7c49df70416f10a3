"""The broker's transport over Redis where sentinels choose the server: kombu's own, with what `workers.broker` adds."""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

from state.redis.opening import Sentinels
from workers import broker


class SentinelChannel(broker.Channel, kombu_redis.SentinelChannel):
    """A channel whose connections ask the sentinels for the primary."""

    def _get_pool(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        pool: Any = super()._get_pool(asynchronous)  # type: ignore[misc]  # a private method that the stubs leave out
        Sentinels.take_over(pool.sentinel_manager)
        return pool


class SentinelTransport(broker.Transport):
    """A transport whose channels ask the sentinels for the primary."""

    default_port = 26379
    Channel = SentinelChannel


def install() -> None:
    """Use this transport for every connection with sentinels that is opened from now on."""
    TRANSPORT_ALIASES["sentinel"] = f"{__name__}:SentinelTransport"
