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
        """Return the arguments of rebuild.lua."""
        asked, said = self.asked, self._options()
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
            "is_followed": self._followed(said),
            "call_fields": self._call_fields(said),
            "forgets": self.forgets,
            "key_fields": self.fields,
        }

    def entry(self) -> tuple[str | bytes | int, ...]:
        """Return the entry of this key among the arguments of rebuild_done.lua."""
        asked, said = self.asked, self._options()
        return (
            self.key,
            asked["call"],
            self.fence,
            self.why,
            asked["task"],
            canonical_json(asked["kwargs"]),
            asked["fingerprint"],
            asked["door"],
            self.ended_ms,
            self._followed(said),
            self._call_fields(said),
            len(self.fields),
            *self.fields,
        )

    @property
    def size(self) -> int:
        """The number of items of `entry`."""
        return 12 + len(self.fields)

    def _options(self) -> Options:
        return Options(**self.asked["options"]) if "options" in self.asked else _NO_OPTIONS

    def _followed(self, said: Options) -> str:
        return "1" if said.has_followers and not self.is_followed else ""

    def _call_fields(self, said: Options) -> bytes:
        return to_json(_of_call(self.asked) | _of_options(said) | self._again())

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
