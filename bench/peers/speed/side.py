"""One side of the bench of speed: a peer, the command of its workers, and which of its tasks is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.peers.peer import Configured


@dataclass(frozen=True)
class Side(Configured):
    """A peer as it is measured; `{module}` and `{url}` are replaced in its command."""

    enqueue: str = "enqueue"  #: the function of its adapter that asks for one call
    env: Mapping[str, str] = field(
        default_factory=dict, hash=False
    )  #: what its processes read from the environment in addition
    share: float = 1.0  #: how many of the calls it gets: a slow peer would take most of the time of the bench

    def command(self, url: str) -> list[str]:
        """Return the command of the workers after `python -m`, for the server at `url`."""
        return self.worker.format(module=self.module, url=url).split()
