"""The keys of a folded journal, written into Redis many at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

from redis import Redis

from state import facts, records
from state.agent import milliseconds
from state.fold import Fold, Place, Standing, fold
from state.journal import Journal
from state.names import Names
from state.records import Record
from state.store import Script
from state.watermark import STILL_WRITTEN

#: Keys written in one round trip.
AT_ONCE = 500
#: A call that ended is kept this long after a rebuild, as after its end.
KEEP_MS = 7 * 86_400_000

#: Answers the caps that count an effect of this task and these arguments: names in Redis and windows in ms.
CapsOf = Callable[[str, Mapping[str, Any]], list[tuple[str, int]]]

_rebuild = Script("rebuild")


class LostAgain(Exception):
    """Raised when what was rebuilt so far is gone: begin anew."""


class Progress:
    """Told how far the work is; this one tells nobody."""

    def reads(self, size: int) -> None:
        """So many more bytes of the journal were read."""

    def writes(self, done: int, total: int) -> None:
        """So many keys and calls of all were written."""


@dataclass(frozen=True)
class _Key:
    """One key as rebuild.lua takes it."""

    agent: str
    key: str
    state: str
    asked: Record  #: the record with the call's task and arguments
    fence: int = 0
    why: str = ""
    ended_ms: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    facts: list[Any] = field(default_factory=list)

    def script_keys(self) -> list[str]:
        n = Names(self.agent)
        names = [n.key(self.key), n.call(self.asked["call"]), n.waiting, n.running, n.held]
        return [*names, n.story(self.key), n.ledger, n.head]

    def script_args(self, token: str) -> list[str | int]:
        asked = self.asked
        call = [asked["task"], _json(asked["kwargs"]), asked["fingerprint"], asked["door"]]
        pairs = [text for pair in self.fields.items() for text in pair]
        return [self.key, self.state, asked["call"], self.fence, self.why, *call, KEEP_MS, self.ended_ms, token, *pairs]


class Rebuilding:
    """One pass over a folded journal."""

    def __init__(self, redis: Redis, whole: Fold, caps_of: CapsOf, token: str = "") -> None:
        self.rebuilt: dict[str, int] = {}
        self.kept = 0
        self.calls = 0
        self._collections: dict[str, set[str]] = {}
        self._redis, self._whole, self._caps_of, self._token = redis, whole, caps_of, token
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._files = [self._stack.enter_context(path.open("rb")) for path in self._whole.files]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def run(self, progress: Progress) -> None:
        """Write every key, then every call that had not begun."""
        total, done = len(self._whole.keys) + len(self._whole.calls), 0
        for batch in _batches(self._whole.keys.items()):
            self._write_keys([self._key(agent, key, standing) for (agent, key), standing in batch])
            done += len(batch)
            progress.writes(done, total)
        for calls in _batches(self._whole.calls.items()):
            waiting = [_Key(agent, key, "waiting", self._at(place)) for (agent, _), (key, place) in calls]
            self.calls += sum(word == "rebuilt" for word in self._write(waiting))
            done += len(calls)
            progress.writes(done, total)
        for agent, collections in self._collections.items():
            facts.trim(self._redis, agent, collections)

    def _write_keys(self, keys: list[_Key]) -> None:
        for key, word in zip(keys, self._write(keys), strict=True):
            if word == "rebuilt":
                self.rebuilt[key.state] = self.rebuilt.get(key.state, 0) + 1
            else:
                self.kept += 1
        with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                if key.state == "done":
                    self._count(pipe, key)
                    facts.remember(pipe, key.agent, key.facts, key.ended_ms)
                    self._collections.setdefault(key.agent, set()).update(name for *_, name in key.facts if name)
            pipe.execute()

    def _count(self, pipe: Any, key: _Key) -> None:
        """An effect that happened counts for its caps, as long as their windows last; Redis drops the older ones."""
        for name, window_ms in self._caps_of(key.asked["task"], key.asked["kwargs"]):
            pipe.zadd(name, {key.key: key.ended_ms}).pexpire(name, 2 * window_ms)

    def _write(self, keys: list[_Key]) -> list[str]:
        answers = _rebuild.many(self._redis, [(key.script_keys(), key.script_args(self._token)) for key in keys])
        if any(answer[0] == "lost" for answer in answers):
            raise LostAgain("Redis lost data again while it was being rebuilt")
        return [str(answer[0]) for answer in answers]

    def _key(self, agent: str, key: str, standing: Standing) -> _Key:
        asked = self._at(standing.intent)
        fields = {f"point:{name}": value for name, value in (standing.points or {}).items()}
        if "owner" in asked:
            fields["owner"] = asked["owner"]
        fields |= {name: _json(asked[name]) for name in ("payload", "verify") if name in asked}
        end = self._at(standing.outcome) if standing.outcome else {}
        if standing.state == "done":
            fields["result"] = _json(end.get("result", {"result": None, "rung": None}))
            fields |= {"flaw": _json(end["flaw"])} if "flaw" in end else {}
        why = standing.why or ("rebuilt from the journal: it was sent, and no outcome was written down")
        ended_ms = milliseconds(end["at"]) if end else 0
        return _Key(agent, key, standing.state, asked, standing.fence, why, ended_ms, fields, end.get("facts", []))

    def _at(self, place: Place | None) -> Record:
        assert place is not None  # noqa: S101 - every standing begins with a record
        file = self._files[place.file]
        file.seek(place.offset)
        return records.of_line(file.readline())


def last_word(redis: Redis, journal: Journal, agent: str, key: str, fence: int) -> str | None:
    """Settle a key as its attempt's outcome in the journal says; None if the journal has none."""
    whole = fold(journal.files()[-STILL_WRITTEN:], key=key)
    standing = whole.keys.get((agent, key))
    if standing is None or standing.fence != fence or standing.state not in {"done", "waiting", "rejected"}:
        return None
    whole.keys, whole.calls = {(agent, key): standing}, {}
    with Rebuilding(redis, whole, lambda _task, _kwargs: []) as rebuilding:
        rebuilding.run(Progress())
    return standing.state if rebuilding.rebuilt else None


Item = TypeVar("Item")


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, AT_ONCE)):
        yield batch


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
