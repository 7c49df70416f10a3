"""The options of a call besides its arguments: queue, priority, followers. They are stored with the call, not its message."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Signature = dict[str, Any]

#: Celery's name of each option that two calls of one id must share, and the field that holds it.
_COMPARED = {"queue": "queue", "priority": "priority", "link": "then", "link_error": "otherwise", "chain": "chain"}
#: Options of a signature that Celery generates anew each time.
_GENERATED = frozenset({"task_id", "reply_to", "root_id", "parent_id", "group_id", "group_index"})


@dataclass(frozen=True)
class Options:
    """The options of every message of a call, and the calls that follow it.

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
        """Queue and priority as one name; messages of one lane arrive in the order in which they were sent."""
        return self.queue if self.priority is None else f"{self.queue}/{self.priority}"

    @property
    def has_followers(self) -> bool:
        return bool(self.then or self.otherwise or self.chain)

    def lacking_in(self, known: Options) -> str:
        """Return Celery's names of the options set here that `known` lacks, separated by commas; empty if there are none.

        Followers are compared without the ids and addresses that Celery generates anew each time.
        """
        lacking = [
            name
            for name, field in _COMPARED.items()
            if (wanted := getattr(self, field)) not in ("", None, (), [])
            and _comparable(wanted) != _comparable(getattr(known, field))
        ]
        return ", ".join(lacking)

    def as_json(self) -> str:
        """Return the options that differ from the defaults as JSON text; empty if there are none."""
        fields = {name: value for name, value in vars(self).items() if value not in ("", None, False, (), [])}
        return json.dumps(fields, sort_keys=True, separators=(",", ":")) if fields else ""


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _comparable(_without_ids(one) if name == "options" and isinstance(one, dict) else one)
            for name, one in value.items()
        }
    return [_comparable(one) for one in value] if isinstance(value, list | tuple) else value


def _without_ids(options: Signature) -> Signature:
    return {name: one for name, one in options.items() if name not in _GENERATED}


def from_json(text: str | None) -> Options:
    """Return the options that `as_json` wrote; the defaults for an empty text or None."""
    return Options(**json.loads(text)) if text else Options()


def of_registration(text: str, digest: str) -> dict[str, Any]:
    """Return the arguments of register.lua for what few calls have: options, as JSON text, and a digest."""
    asked = from_json(text)
    fields = {"digest": digest, "options": text, "lane": asked.lane}
    more = [part for name, value in fields.items() if value for part in (name, value)]
    return {"is_followed": "1" if asked.has_followers else "", "more_fields": more}


def queue_of(lane: str) -> str:
    """Return the queue of a lane; empty for the default one."""
    return lane.partition("/")[0]
