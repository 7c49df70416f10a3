"""The options of a call: what its caller said besides the arguments. They are kept with the call, not with its message."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Signature = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What every message of a call is sent with, and what follows the call.

    Attributes:
        queue: The broker's queue; empty for the default one.
        priority: The priority of its messages, or None for the broker's own.
        ignore_result: Whether Celery keeps no result of the call.
        then: Signatures of the calls that follow when the call is done, as Celery writes them.
        otherwise: Signatures of the calls that follow when it ended without a result.
        chain: The rest of a chain, the next signature last, as Celery writes it.

    """

    queue: str = ""
    priority: int | None = None
    ignore_result: bool = False
    then: Sequence[Signature] = ()
    otherwise: Sequence[Signature] = ()
    chain: Sequence[Signature] = ()

    @property
    def lane(self) -> str:
        """The name of the line in which its messages wait: messages of one lane arrive in the order they were sent."""
        return self.queue if self.priority is None else f"{self.queue}/{self.priority}"

    @property
    def has_followers(self) -> bool:
        return bool(self.then or self.otherwise or self.chain)

    def as_json(self) -> str:
        """As JSON text; empty if nothing was said."""
        said = {name: value for name, value in vars(self).items() if value not in ("", None, False, (), [])}
        return json.dumps(said, sort_keys=True, separators=(",", ":")) if said else ""


def from_json(text: str | None) -> Options:
    """The options that `as_json` wrote; none for an empty text."""
    return Options(**json.loads(text)) if text else Options()


def queue_of(lane: str) -> str:
    """The queue to which a lane belongs."""
    return lane.partition("/")[0]
