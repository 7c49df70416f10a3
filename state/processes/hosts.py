"""The hosts that share this Redis: their last sign of life, their versions and clocks, and those that are gone for good.

That a host is gone is a person's decision (`gate host-gone`). It counts for the claims that the host had then, and not for
the host itself: its processes may come back, and what they claim from then on is as good as any other claim.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from state import host
from state.processes import host_signs, liveness
from state.processes.liveness import SILENT_MS, ProcessRecord
from state.redis import client

#: ms without a sign after which a host is silent, and after which a person may say that it is gone.
SILENT_HOST_MS = 60_000
#: Hosts that are gone and are remembered, the newest of them.
MAX_GONE = 100
#: Owners of which a host that is gone keeps which of their attempts are over.
MAX_OWNERS = 5_000

State = Literal["alive", "stopped", "silent", "gone"]


def gone_key() -> str:
    """hash: mark of a host that is gone → JSON {name at_ms by door why owners}, owners: process → its newest attempt"""
    return "gate:{house}:hosts-gone"


@dataclass(frozen=True)
class Gone:
    """A person's decision that a host is gone for good."""

    name: str
    at_ms: int
    by: str
    door: str
    why: str
    owners: Mapping[str, int] = field(default_factory=dict)  #: process → the newest of its attempts that is over

    def covers(self, owner: str) -> bool:
        """Return whether this attempt began before the decision: its process had begun this one, or a later one, by then."""
        process, _, number = owner.partition("/")
        return number.isdecimal() and int(number) <= self.owners.get(process, 0)


@dataclass(frozen=True)
class KindSign:
    """The newest sign of one kind of process on a host."""

    seen_ms: int
    version: str
    clock_ms: int | None = None  #: ms by which the host's clock is ahead of that of Redis
    agents: tuple[str, ...] = ()  #: whose calls it runs


@dataclass(frozen=True)
class Host:
    """One host at one moment; times are ms since 1970 by the server's clock."""

    mark: str
    name: str
    now_ms: int
    seen_ms: int | None = None  #: None: a key names it, and it gave no sign within a week
    boot: str = ""
    kinds: Mapping[str, KindSign] = field(default_factory=dict)
    processes: tuple[ProcessRecord, ...] = ()  #: its workers and beats that run
    was_stopped: bool = False  #: each of its processes was asked to stop
    gone: Gone | None = None

    @property
    def silent_ms(self) -> int | None:
        """For how long it has given no sign; None if it gave none within a week."""
        return None if self.seen_ms is None else max(0, self.now_ms - self.seen_ms)

    @property
    def is_back(self) -> bool:
        """True if it gave a sign after a person said that it is gone."""
        return self.gone is not None and self.seen_ms is not None and self.seen_ms > self.gone.at_ms

    @property
    def state(self) -> State:
        """The word for how it is: `alive`, `stopped` (each of its workers and beats was asked to), `silent`, or `gone`."""
        if self.gone is not None and not self.is_back:
            return "gone"
        if self.silent_ms is not None and self.silent_ms <= SILENT_HOST_MS and not self.was_stopped:
            return "alive"
        return "stopped" if self.was_stopped else "silent"

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of Gatehouse that run there."""
        return tuple(sorted({each.version for each in self._lately()}))

    @property
    def clock_ms(self) -> int | None:
        """By how much its clock is ahead of that of Redis, as one of its processes measured last."""
        known = [each for each in self._lately() if each.clock_ms is not None]
        return max(known, key=lambda each: each.seen_ms).clock_ms if known else None

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents whose calls it runs."""
        return tuple(sorted({agent for each in self._lately() for agent in each.agents}))

    @property
    def web_runs(self) -> bool:
        """True if its web process, which writes no record of its own, gave a sign lately."""
        return "web" in self.kinds and self.now_ms - self.kinds["web"].seen_ms <= SILENT_HOST_MS

    def _lately(self) -> list[KindSign]:
        """Return the signs of the kinds that ran when the host gave its last sign."""
        return [each for each in self.kinds.values() if (self.seen_ms or 0) - each.seen_ms <= SILENT_HOST_MS]


def read(named: Iterable[str] = ()) -> list[Host]:
    """Return every host that gave a sign or is gone, this one first, then by name. Takes one round trip.

    Args:
        named: Further hosts, which claims name: of those that are silent for long, and of earlier versions.

    Raises:
        StoreError: Redis does not answer.

    """
    with client.client().pipeline(transaction=False) as pipe:
        pipe.time().hgetall(host_signs.key()).hgetall(gone_key()).hgetall(liveness.key())
        (seconds, micros), signs, gone, processes = pipe.execute()
    now = int(seconds) * 1000 + int(micros) // 1000
    found = {mark: _signed(mark, json.loads(text), now) for mark, text in signs.items()}
    for mark, text in gone.items():
        decided = _gone(text)
        found[mark] = replace(found.get(mark) or Host(mark, decided.name, now), gone=decided)
    records = [liveness.record_of(text) for text in processes.values()]
    for name in named:
        found.setdefault(host.mark_of(name), _of_earlier_version(name, records, now))
    with_processes = [_with_processes(each, records) for each in found.values()]
    here = host.mark()
    return sorted(with_processes, key=lambda each: (each.mark != here, each.name))


def gone() -> dict[str, Gone]:
    """Return the hosts that are gone, by mark. Raises StoreError."""
    return {mark: _gone(text) for mark, text in client.client().hgetall(gone_key()).items()}


def say_gone(mark: str, decided: Gone) -> None:
    """Record that a host is gone; attempts that an earlier decision ended stay ended. Raises StoreError."""
    redis = client.client()
    known = gone()
    before = known[mark].owners if mark in known else {}
    owners = {process: max(number, before.get(process, 0)) for process, number in decided.owners.items()}
    merged = dict([*{**before, **owners}.items()][-MAX_OWNERS:])
    redis.hset(gone_key(), mark, _as_json(replace(decided, owners=merged)))
    oldest = sorted((each for each in known if each != mark), key=lambda each: known[each].at_ms)
    for each in oldest[: max(0, len(oldest) + 1 - MAX_GONE)]:
        redis.hdel(gone_key(), each)


def _of_earlier_version(name: str, records: Iterable[ProcessRecord], now: int) -> Host:
    """Return a host that gives no signs; processes of an earlier version on its machine say when it was last seen."""
    seen = [each.seen_ms for each in records if not each.mark and each.host.partition(".")[0] == name]
    return Host(host.mark_of(name), name, now, max(seen, default=None))


def _signed(mark: str, stored: dict[str, Any], now: int) -> Host:
    kinds = {kind: _kind(each) for kind, each in stored["kinds"].items()}
    return Host(mark, stored["name"], now, int(stored["seen_ms"]), str(stored.get("boot", "")), kinds)


def _kind(stored: dict[str, Any]) -> KindSign:
    clock = stored.get("clock_ms")
    agents = tuple(stored.get("agents") or ())
    return KindSign(int(stored["seen_ms"]), str(stored["version"]), None if clock is None else int(clock), agents)


def _gone(text: str) -> Gone:
    stored = json.loads(text)
    return Gone(**{name: stored[name] for name in ("name", "at_ms", "by", "door", "why", "owners")})


def _as_json(decided: Gone) -> str:
    return json.dumps(vars(decided) | {"owners": dict(decided.owners)}, ensure_ascii=False)


def _with_processes(each: Host, records: list[ProcessRecord]) -> Host:
    own = [record for record in records if record.mark == each.mark]
    running = tuple(record for record in own if not record.stopped and each.now_ms - record.seen_ms <= SILENT_MS)
    was_stopped = bool(own) and all(record.stopped for record in own) and not each.web_runs
    return replace(each, processes=running, was_stopped=was_stopped)
