"""Writes batches of rebuilt keys into Redis, one after the other: while Redis works on one, the next is prepared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, compress
from operator import not_
from types import TracebackType
from typing import Self

from redis import Redis
from redis.exceptions import NoScriptError

from state.recovery.cap_counts import CapCounts
from state.recovery.rebuilt_key import RebuiltKey
from state.redis.exchange import Packet
from state.redis.keys import Keys
from state.redis.script import Argument, KeyNames, Script

#: Keys that one script writes at most, in about a millisecond: until it ends, Redis answers nobody.
KEYS_AT_ONCE = 50
#: Arguments of one script at most: Lua unpacks no more than 8,000.
MAX_ARGUMENTS = 4000

_rebuild, _rebuild_done = Script("rebuild"), Script("rebuild_done")


class RedisLostData(Exception):
    """Raised when Redis lost what was rebuilt so far: the recovery must begin again."""


@dataclass(frozen=True)
class _Step:
    """Some keys of a batch, those that each script writes, and the scripts as they are sent."""

    groups: Sequence[Sequence[RebuiltKey]]
    packet: Packet


@dataclass(frozen=True)
class _Batch:
    """Keys, and the steps that write them."""

    keys: Sequence[RebuiltKey]
    at_once: _Step
    alone: _Step


class BatchWriter:
    """A context manager that writes each batch it is given, in order.

    Args:
        redis: The connection.
        caps: Count the effects.
        keep_ms: How long a call that ended is kept.
        token: Of the recovery at work; "" after a restart that lost nothing.

    """

    def __init__(self, redis: Redis, caps: CapCounts, keep_ms: int, token: str) -> None:
        self.rebuilt: dict[str, int] = {}
        self.kept = 0
        self.calls = 0
        self.changed: set[str] = set()  #: agents of which something was written
        self._redis, self._caps, self._keep_ms, self._token = redis, caps, keep_ms, token
        self._not_empty: set[str] = set()  #: agents of which Redis has something: rebuild.lua writes their keys
        self._under_way: Future[None] | None = None

    def __enter__(self) -> Self:
        self._load_scripts()
        self._thread = ThreadPoolExecutor(1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown()

    def write(self, keys: Sequence[RebuiltKey]) -> None:
        """Prepare a batch, and write it as soon as the one before is written, whose errors this raises.

        Raises:
            RedisLostData: Redis lost what was written so far.

        """
        batch = self._prepared(keys)
        self.wait()
        self._under_way = self._thread.submit(self._write, batch)

    def wait(self) -> None:
        """Wait until the batch under way is written, and raise its errors as `write` does."""
        if self._under_way:
            self._under_way.result()

    def _prepared(self, keys: Sequence[RebuiltKey]) -> _Batch:
        not_empty = frozenset(self._not_empty)  # the other thread adds to it
        is_at_once = [bool(self._token) and key.state == "done" and key.agent not in not_empty for key in keys]
        at_once, alone = compress(keys, is_at_once), compress(keys, map(not_, is_at_once))
        return _Batch(keys, self._at_once(at_once), self._alone(alone))

    def _at_once(self, keys: Iterable[RebuiltKey]) -> _Step:
        """Return the step that writes keys that are done into empty ledgers, many with each script."""
        groups = list(_groups(keys))
        commands = [_rebuild_done.command(*_of_group(group, self._keep_ms, self._token)) for group in groups]
        return _Step(groups, Packet(self._redis, *commands))

    def _alone(self, keys: Iterable[RebuiltKey]) -> _Step:
        """Return the step that writes each key with a script of its own."""
        groups = [[key] for key in keys]
        commands = [
            _rebuild.command(key.script_keys(), key.script_arguments(self._keep_ms, self._token)) for [key] in groups
        ]
        return _Step(groups, Packet(self._redis, *commands))

    def _write(self, batch: _Batch) -> None:
        left = list(self._written_at_once(batch.at_once))
        self._write_alone(self._alone(left))
        self._write_alone(batch.alone)
        self._caps.count(batch.keys)

    def _written_at_once(self, step: _Step) -> Iterator[RebuiltKey]:
        """Write, and yield the keys that were left out because their ledger is not empty."""
        for group, (how, *names) in zip(step.groups, self._answers(step), strict=True):
            left = [key for key in group if how == "listed" or key.key in names]
            self._not_empty |= {key.agent for key in left}
            if written := len(group) - len(left):
                self.changed.add(group[0].agent)
                self.rebuilt["done"] = self.rebuilt.get("done", 0) + written
            yield from left

    def _write_alone(self, step: _Step) -> None:
        for [key], (how, *_) in zip(step.groups, self._answers(step), strict=True):
            if how == "kept":
                self.kept += not key.is_call
                continue
            self.changed.add(key.agent)
            if key.is_call:
                self.calls += 1
            else:
                self.rebuilt[key.state] = self.rebuilt.get(key.state, 0) + 1

    def _answers(self, step: _Step) -> list[list[str]]:
        """Send the scripts of a step, and return what each answers. Raises RedisLostData."""
        if not step.groups:
            return []
        try:
            answers = step.packet.exchange()
        except NoScriptError:  # another server took over; what is written already is kept
            self._load_scripts()
            answers = step.packet.exchange()
        if any(how == "lost" for how, *_ in answers):
            raise RedisLostData("Redis lost data again while it was being rebuilt")
        return answers

    def _load_scripts(self) -> None:
        for script in (_rebuild, _rebuild_done):
            script.load(self._redis)


def _groups(keys: Iterable[RebuiltKey]) -> Iterator[list[RebuiltKey]]:
    """Yield the keys of each agent, in order, in as many groups as they need scripts."""
    of_agents: dict[str, list[RebuiltKey]] = {}
    for key in keys:
        of_agents.setdefault(key.agent, []).append(key)
    for of_agent in of_agents.values():
        group, size = list[RebuiltKey](), 0
        for key in of_agent:
            if group and (len(group) == KEYS_AT_ONCE or size + key.size > MAX_ARGUMENTS):
                yield group
                group, size = [], 0
            group.append(key)
            size += key.size
        yield group


def _of_group(group: Sequence[RebuiltKey], keep_ms: int, token: str) -> tuple[KeyNames, Mapping[str, Argument]]:
    """Return the keys and the arguments of rebuild_done.lua."""
    n = Keys(group[0].agent)
    names = [name for key in group for name in (n.key(key.key), n.call(key.asked["call"]), n.history(key.key))]
    entries = list(chain.from_iterable(key.entry() for key in group))
    return {**n.of(), "names": names}, {"token": token, "keep_ms": keep_ms, "entries": entries}
