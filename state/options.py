"""The options of a call: what its caller said besides the arguments. They are kept with the call, not with its message."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Signature = dict[str, Any]

#: What a caller may miss if it is left out, and the field that keeps it.
_ASKED = {"queue": "queue", "priority": "priority", "link": "then", "link_error": "otherwise", "chain": "chain"}
#: Options of a signature that Celery makes up each time.
_MADE_UP = frozenset({"task_id", "reply_to", "root_id", "parent_id", "group_id", "group_index"})


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

    def lacking_in(self, known: Options) -> str:
        """Return what this asks for and `known` has not, by the names that callers use; empty if there is nothing.

        Followers are compared without the ids and addresses that Celery gives them anew each time.
        """
        lacking = [
            name
            for name, field in _ASKED.items()
            if (wanted := getattr(self, field)) not in ("", None, (), [])
            and _plain(wanted) != _plain(getattr(known, field))
        ]
        return ", ".join(lacking)

    def as_json(self) -> str:
        """As JSON text; empty if nothing was said."""
        said = {name: value for name, value in vars(self).items() if value not in ("", None, False, (), [])}
        return json.dumps(said, sort_keys=True, separators=(",", ":")) if said else ""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _plain(_without_ids(one) if name == "options" and isinstance(one, dict) else one)
            for name, one in value.items()
        }
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _without_ids(said: Signature) -> Signature:
    return {name: one for name, one in said.items() if name not in _MADE_UP}


def from_json(text: str | None) -> Options:
    """The options that `as_json` wrote; none for an empty text."""
    return Options(**json.loads(text)) if text else Options()


def queue_of(lane: str) -> str:
    """The queue to which a lane belongs."""
    return lane.partition("/")[0]
