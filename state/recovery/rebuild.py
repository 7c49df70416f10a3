"""Writes the keys of a projection into Redis, many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from types import TracebackType
from typing import Any, Self

from pydantic_core import to_json
from redis import Redis

import settings
from state import forbidden, redis_format
from state.constants import ASKS
from state.formatting import from_iso
from state.journal import compressed, records
from state.journal.heads import STILL_WRITTEN
from state.journal.journal import Journal
from state.journal.projection import KeyState, Projection, RecordOffset
from state.journal.projector import project
from state.journal.records import Record
from state.recovery.batch_writer import BatchWriter
from state.recovery.cap_counts import CapCounts, CapsOf
from state.recovery.journal_lines import JournalLines
from state.recovery.rebuilt_key import RebuiltKey, flat
from state.recovery.remembered import RememberedFacts
from state.redis.client import batches, now_ms
from state.redis.keys import Keys

#: Keys written in one round trip.
BATCH_SIZE = 2000
DAY_MS = 86_400_000


class Progress:
    """Receives how far a recovery is; this one ignores it."""

    def reads(self, size: int) -> None:
        """Note that so many more bytes of the journal were read."""

    def writes(self, done: int, total: int) -> None:
        """Note that so many keys and calls were written, of this total."""


def _no_caps(_task: str, _kwargs: Mapping[str, Any]) -> list[tuple[str, int]]:
    return []


class Rebuilding:
    """One pass over a projection: a context manager, whose `run` writes it into Redis.

    Args:
        redis: The connection.
        projection: What to write.
        caps_of: Returns the caps that count an effect.
        token: Of the recovery at work; "" after a restart that lost nothing.

    """

    def __init__(self, redis: Redis, projection: Projection, caps_of: CapsOf = _no_caps, token: str = "") -> None:
        self._facts = RememberedFacts()
        self._redis, self._projection, self._token = redis, projection, token
        self._keep_ms = settings.current().ledger_days * DAY_MS  # the journal holds calls of effects only
        self.writer = BatchWriter(redis, CapCounts(redis, caps_of), self._keep_ms, token)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        files = [self._stack.enter_context(compressed.open_seekable(path)) for path in self._projection.files]
        #: Outcomes stand behind what they are of, so they have windows of their own.
        self._asked, self._ended = ([JournalLines(file.fileno()) for file in files] for _ in range(2))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def run(self, progress: Progress) -> None:
        """Write every key, then every call that had not begun; prepare a batch while the last one is written.

        Raises:
            RedisLostData: Redis lost what was written so far.

        """
        if self._projection.modes or any(key.asks for key in self._projection.keys.values()):
            redis_format.raise_to(self._redis, redis_format.AUTONOMY)
        for agent, mode in self._projection.modes.items():
            self._redis.hset(Keys(agent).agent_meta, "autonomy", mode)
        for call, (agents, by) in self._projection.forbidden.items():  # before what they may follow is there
            forbidden.forbid(self._redis, agents, call, by, self._keep_ms)
        total, done = len(self._projection.keys) + len(self._projection.calls), 0
        with self.writer as writer:
            for batch in batches(chain(self._keys(), self._calls()), BATCH_SIZE):
                writer.write(batch)
                done += len(batch)
                progress.writes(done, total)
            writer.wait()
        self._facts.write(self._redis)
        self._date_changes()

    def _date_changes(self) -> None:
        """Write when the agents changed; without a recovery the script does it with each change."""
        if self._token:
            with self._redis.pipeline(transaction=False) as pipe:
                for agent in self.writer.changed:
                    pipe.hset(Keys(agent).agent_meta, "updated_ms", now_ms(self._redis))
                pipe.execute()

    def _keys(self) -> Iterator[RebuiltKey]:
        """Yield those that are done first: rebuild.lua is quicker as long as no list is there."""
        for (agent, key), standing in sorted(self._projection.keys.items(), key=lambda item: item[1].state != "done"):
            yield self._key(agent, key, standing)

    def _calls(self) -> Iterator[RebuiltKey]:
        for (agent, _), (key, place) in self._projection.calls.items():
            yield RebuiltKey(
                agent, key, "waiting", self._at(place), is_call=True, fields=flat(self._points(agent, key))
            )

    def _key(self, agent: str, key: str, standing: KeyState) -> RebuiltKey:
        asked = self._at(standing.intent)
        end = _record(self._ended, standing.outcome) if standing.outcome else {}
        fields, is_forgotten = self._points(agent, key), _is_forgotten(standing, asked, end)
        if "owner" in asked:
            fields["owner"] = asked["owner"]
        if not is_forgotten:
            fields |= {name: to_json(asked[name]) for name in ("payload", "verify") if name in asked}
        fields |= self._proposal(standing, asked, end)
        ended_ms = from_iso((end or asked)["at"])
        if standing.state == "unknown" and end:
            fields["gone"] = str(standing.fence)  # its owner reported the outcome, and sends nothing any more
        if standing.state == "done":
            fields["result"] = to_json(end.get("result", {"result": None, "rung": None}))
            fields |= {"flaw": to_json(end["flaw"])} if "flaw" in end else {}
            self._facts.add(agent, end.get("facts", ()), ended_ms)
        why = ASKS if standing.asks else standing.why or end.get("error") or _DEFAULT_REASON.get(standing.state, "")
        followed = (agent, asked["call"]) in self._projection.followed
        which = (agent, key, standing.state, asked)
        forgets = str(end["outcome"]) if is_forgotten else ""
        return RebuiltKey(*which, False, standing.fence, why, ended_ms, flat(fields), followed, forgets)

    def _proposal(self, standing: KeyState, asked: Record, end: Record) -> dict[str, str | bytes]:
        """Return the text about which a person decides, or decided, and how far that is."""
        told = self._at(standing.proposal) if standing.proposal else {}
        text, kind = told.get("proposal"), told.get("type", "")
        was_refused = standing.state == "rejected" and end.get("outcome") == "failed"
        if was_refused or (standing.approved and standing.proposal is None):
            text, kind = (
                asked.get("payload"),
                asked.get("type", ""),
            )  # what was sent: to be corrected, or to be sent again
        if text is None or standing.state in {"done", "cancelled"}:
            return {}
        revision = str(max(standing.revision, 1))
        fields: dict[str, str | bytes] = {"proposal": to_json(text), "proposal_type": kind, "revision": revision}
        if standing.asks:
            at = str(from_iso(told["at"]))
            fields |= {"kind": "approval", "asked_ms": at, "since_ms": at, "expires_ms": str(from_iso(told["expires"]))}
        return fields | ({"approved": revision} if standing.approved else {})

    def _points(self, agent: str, key: str) -> dict[str, str | bytes]:
        points = self._projection.points.get((agent, key))
        return {f"point:{name}": value for name, value in points.items()} if points else {}

    def _at(self, place: RecordOffset) -> Record:
        return _record(self._asked, place)


def _record(files: Sequence[JournalLines], place: RecordOffset) -> Record:
    line = files[place.file].at(place.offset)
    try:
        return records.decode(line)
    except records.Damaged:
        return next(records.decode_all(line))


#: Reasons for the state of a key, where the journal has none.
_DEFAULT_REASON = {
    "unknown": "rebuilt from the journal: it was sent, and no outcome was written down",
    "held": "rebuilt from the journal: it was held, and no reason was written down",
    "rejected": "rebuilt from the journal: it was rejected, and no reason was written down",
    "cancelled": "rebuilt from the journal: it was cancelled, and no reason was written down",
}


def _is_forgotten(standing: KeyState, asked: Record, end: Record) -> bool:
    """Return whether the newest attempt froze its own text, and reported that nothing happened; as in settle.lua."""
    is_free = standing.state in {"waiting", "rejected"} and not standing.doubted
    return is_free and bool(asked.get("first")) and end.get("outcome") in {"failed", "refused"}


def settle_from_journal(redis: Redis, journal: Journal, agent: str, key: str, fence: int) -> str | None:
    """Settle one key with the outcome that its attempt wrote to the journal before its process died.

    Returns:
        The key's state; None if the journal has no outcome of the attempt with this fence.

    Raises:
        NewerFormat: A newer version of Gatehouse wrote the journal.

    """
    projection = project(journal.own_files()[-STILL_WRITTEN:], key=key)
    state = projection.keys.get((agent, key))
    if state is None or state.fence != fence or state.state not in {"done", "waiting", "rejected"}:
        return None
    projection.keys, projection.calls = {(agent, key): state}, {}
    projection.forbidden, projection.modes = {}, {}
    with Rebuilding(redis, projection) as rebuilding:
        rebuilding.run(Progress())
    return state.state if rebuilding.writer.rebuilt else None
