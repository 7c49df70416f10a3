"""One key or call of a projection, as rebuild.lua takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from pydantic_core import to_json

from state.formatting import canonical_json, from_iso
from state.journal import events
from state.journal.records import Record
from state.options import Options
from state.redis.keys import Keys
from state.redis.script import Argument

_NO_OPTIONS = Options()


@dataclass(slots=True)
class RebuiltKey:
    """One key, or one call that had not begun, as rebuild.lua takes it."""

    agent: str
    key: str
    state: str
    asked: Record  #: the record with the call's task and arguments
    is_call: bool = False
    fence: int = 0
    why: str = ""
    ended_ms: int = 0
    fields: tuple[str | bytes, ...] = ()  #: names and values in turn
    is_followed: bool = False  #: the calls that follow it are registered
    forgets: str = ""  #: how the attempt ended whose text is forgotten with this; empty if it stays

    def script_keys(self) -> Mapping[str, str]:
        return Keys(self.agent).of(self.key, self.asked["call"])

    def script_arguments(self, keep_ms: int, token: str) -> dict[str, Argument]:
        asked = self.asked
        said = Options(**asked["options"]) if "options" in asked else _NO_OPTIONS
        return {
            "key": self.key,
            "state": self.state,
            "call": asked["call"],
            "fence": self.fence,
            "reason": self.why,
            "task": asked["task"],
            "kwargs": canonical_json(asked["kwargs"]),
            "fingerprint": asked["fingerprint"],
            "origin": asked["door"],
            "keep_ms": keep_ms,
            "ended_ms": self.ended_ms,
            "token": token,
            "is_followed": "1" if said.has_followers and not self.is_followed else "",
            "call_fields": to_json(_of_call(asked) | _of_options(said) | self._again()),
            "forgets": self.forgets,
            "key_fields": self.fields,
        }

    def _again(self) -> dict[str, str]:
        """Mark a call that was tried, or that a person wants to run: nobody asks for it again, so it waits out a pause."""
        return {"again": "1"} if self.state == "waiting" and not self.is_call else {}


def _of_call(asked: Record) -> dict[str, str]:
    """Return what the journal has of a call besides its task and its arguments, as Redis keeps it."""
    fields = {to: str(from_iso(asked[name])) for name, to in events.TIMES.items() if name in asked}
    return fields | {name: str(asked[name]) for name in events.MARKS if name in asked}


def _of_options(said: Options) -> dict[str, str]:
    if said is _NO_OPTIONS:
        return {}
    fields = {"options": said.as_json(), "lane": said.lane}
    return {name: value for name, value in fields.items() if value}


def flat(fields: Mapping[str, str | bytes]) -> tuple[str | bytes, ...]:
    """Return names and values in turn, as a script takes them."""
    return tuple(chain.from_iterable(fields.items()))
