"""Old months of the journal, without what nobody will ask for again.

What must never be forgotten stays: every effect that was done, with its result; whatever is still in doubt, waits, or was
cancelled; and the highest fences. What goes are the payloads of done effects, earlier attempts, calls that ended, and
keys that were given up, which Redis has forgotten by then too.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import structlog

import settings
from state.files import UNFINISHED, sync_folder, write_atomic
from state.journal import journal as journal_module
from state.journal import records
from state.journal.heads import STILL_WRITTEN
from state.journal.journal import Journal
from state.journal.projection import KeyState, Projection, RecordOffset, project
from state.journal.records import CorruptRecord, Record

log = structlog.get_logger("gatehouse.journal")

#: Bytes at the end of a file among which its last whole line ends: twice the largest payload.
TAIL = 2 * 1024 * 1024

#: Characters at the beginning of a file's name that say of which month it is, also in a copy from another machine.
MONTH = len("2026-11")

#: How often the files are written anew because of keys that would read differently.
TRIES = 3

Name = tuple[str, str]  #: agent and key


@dataclass
class CompactionReport:
    """What was compacted; nothing most of the time."""

    files: list[str] = field(default_factory=list)
    bytes_before: int = 0
    bytes_after: int = 0
    damaged: list[str] = field(default_factory=list)  #: lines because of which nothing was touched


def compact(journal: Journal, ledger_days: int) -> CompactionReport:
    """Rewrite each file whose month ended longer than `ledger_days` ago, once. Cheap when there is nothing to do.

    Reading and writing go on meanwhile. A kill leaves each file as it was, or compacted. Raises JournalUnavailable, and
    OSError.
    """
    if not is_needed(journal, ledger_days):
        return CompactionReport()
    old = _old_files(journal, ledger_days)
    with _only_one(journal) as is_mine:
        return _compact(journal, old) if is_mine else CompactionReport()


def is_needed(journal: Journal, ledger_days: int) -> bool:
    """Whether there is a month that is old enough and not compacted yet; a look at the folder."""
    old = _old_files(journal, ledger_days)
    return bool(old) and _seen(journal) != _identities(old)


def _old_files(journal: Journal, ledger_days: int) -> list[Path]:
    """Those that nobody writes to any more, and whose every record is old enough."""
    limit = datetime.now(UTC) - timedelta(days=ledger_days)
    return list(takewhile(lambda path: _end_of(path) <= limit, journal.files()[:-STILL_WRITTEN]))


def _end_of(path: Path) -> datetime:
    try:
        month = datetime.strptime(path.stem[:MONTH], "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)  # nobody knows whose, nor from when
    return (month + timedelta(days=32)).replace(day=1)


def _compact(journal: Journal, old: list[Path]) -> CompactionReport:
    for left in journal.folder.glob(f".*{UNFINISHED}"):
        left.unlink(missing_ok=True)
    report = CompactionReport()
    files = journal.files()
    ends = {path: _last_line_end(path) for path in files[len(old) :]}  # they grow meanwhile
    whole = project(files, ends=ends)
    report.damaged = [str(damage) for damage in whole.damages if not damage.torn]
    if not report.damaged:
        _replace(journal, old, whole, ends, report)
    write_atomic(_marker(journal), json.dumps(_identities(old)).encode())
    return report


def _last_line_end(path: Path) -> int:
    with path.open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - TAIL)
        file.seek(start)
        return start + file.read(TAIL).rfind(b"\n") + 1


def _replace(
    journal: Journal, old: list[Path], whole: Projection, ends: Mapping[Path, int], report: CompactionReport
) -> None:
    identities = _identities(old)
    fresh = [path.with_name(f".{path.name}.{secrets.token_hex(8)}{UNFINISHED}") for path in old]
    try:
        _rewrite_all(old, fresh, whole, ends)
        with journal.alone():  # a recovery looks things up at their places
            if _identities(old) != identities:
                raise OSError("the journal's old files were changed while they were compacted")
            for path, rewritten in zip(old, fresh, strict=True):
                report.files.append(path.name)
                report.bytes_before += path.stat().st_size
                report.bytes_after += rewritten.stat().st_size
                rewritten.replace(path)  # oldest first: what a later file says of something dropped is passed over
            sync_folder(journal.folder)
    finally:
        for rewritten in fresh:
            rewritten.unlink(missing_ok=True)


def _rewrite_all(old: list[Path], fresh: list[Path], whole: Projection, ends: Mapping[Path, int]) -> None:
    """Write what says the same; a key that would read differently, because it took an unusual way, keeps every word."""
    given_up = {name for name, standing in whole.keys.items() if standing.state == "rejected"}
    given_up -= _spoken_of(list(ends))
    unusual: set[Name] = set()
    for _ in range(TRIES):
        for number, (path, rewritten) in enumerate(zip(old, fresh, strict=True)):
            _rewrite(rewritten, path, number, _Rules(whole, given_up, unusual))
        _keep_fences(old, fresh)
        others = _differences(whole, project([*fresh, *ends], ends=ends), given_up)
        if not others:
            return
        unusual |= others
    raise RuntimeError(f"compacted, the journal would not say the same, so it is left as it is: {sorted(unusual)[:5]}")


def _spoken_of(files: list[Path]) -> set[Name]:
    found = (record for path in files for *_, record in records.scan(path, reader=records.decode_header))
    return {(record["agent"], record["key"]) for record in found if isinstance(record, dict) and "key" in record}


def _rewrite(fresh: Path, path: Path, number: int, rules: _Rules) -> None:
    """Write the compacted form of one file, on the disk when this returns."""
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        for offset, _, record in records.scan(path):
            kept = None if isinstance(record, CorruptRecord) else rules.kept(record, RecordOffset(number, offset))
            if kept:
                file.write(records.line(kept))
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True)
class _Rules:
    """What is left of each record."""

    whole: Projection
    given_up: set[Name]  #: keys that are gone from Redis by now
    unusual: set[Name]  #: keys that keep every word

    def kept(self, record: Record, place: RecordOffset) -> Record | None:
        """All, a part, or nothing."""
        if record["event"] == "probe":
            return None
        if "key" not in record:
            return record  # an epoch, a checkpoint
        event, name = record["event"], (record["agent"], record["key"])
        standing = self.whole.keys.get(name)
        if name in self.unusual or (event == "registered" and (record["agent"], record["call"]) in self.whole.calls):
            return record
        if name in self.given_up or (standing is None and event in {"registered", "ended", "followed"}):
            return None
        return _of_done(record, place, standing) if standing and standing.state == "done" else record


def _keep_fences(old: list[Path], fresh: list[Path]) -> None:
    """They may have been said by records that are gone now, and must never be given again."""
    said, found, added = project(old).known, project(fresh).known, dict[str, int]()
    for path, before, after in zip(fresh, said, found, strict=True):
        lower = {
            agent: known
            for agent, known in before.items()
            if known.fence > max(after[agent].fence if agent in after else -1, added.get(agent, -1))
        }
        if lower:
            added |= {agent: known.fence for agent, known in lower.items()}
            _append(
                path, "checkpoint", {"known": {agent: [known.epoch, known.fence] for agent, known in lower.items()}}
            )


def _append(path: Path, event: str, fields: Mapping[str, Any]) -> None:
    with path.open("ab") as file:
        file.write(records.encode(event, fields))
        file.flush()
        os.fsync(file.fileno())


def _of_done(record: Record, place: RecordOffset, standing: KeyState) -> Record | None:
    """Nothing that was said of it before or later changes it any more."""
    if place == standing.intent and "payload" in record:
        return {name: value for name, value in record.items() if name not in {"verify", "options"}} | {"payload": None}
    return record if place in (standing.intent, standing.outcome) else None


def _differences(before: Projection, after: Projection, given_up: set[Name]) -> set[Name]:
    """The keys of which the compacted journal would say something else."""
    ends = [{name: _end_of_key(each) for name, each in whole.keys.items()} for whole in (before, after)]
    others = {name for name in ends[0].keys() | ends[1].keys() if ends[0].get(name) != ends[1].get(name)}
    calls = {(agent, key) for whole in (before, after) for (agent, _), (key, _) in whole.calls.items()}
    if before.calls.keys() == after.calls.keys():
        calls = set()
    if before.fences != after.fences:
        raise RuntimeError("compacted, the journal would forget how far it reaches, so it is left as it is")
    return (others | calls) - given_up


def _end_of_key(standing: KeyState) -> tuple[Any, ...]:
    outcome = standing.outcome.file if standing.outcome else None
    return standing.state, standing.fence, standing.call, standing.why, standing.epoch, standing.intent.file, outcome


def _identities(files: list[Path]) -> dict[str, list[int]]:
    return {path.name: [path.stat().st_ino, path.stat().st_size] for path in files}


def _marker(journal: Journal) -> Path:
    return journal.folder / ".compacted"


def _seen(journal: Journal) -> Any:
    """The files as they were left the last time."""
    try:
        return json.loads(_marker(journal).read_bytes())
    except (FileNotFoundError, ValueError):
        return None


@contextmanager
def _only_one(journal: Journal) -> Iterator[bool]:
    """Whether no other process is at it."""
    lock = os.open(journal.folder / ".compacting", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(lock)


def main() -> None:
    """Compact this installation's journal, and say what was done, as `python -m state.journal.compact`."""
    report = compact(journal_module.current(), settings.current().ledger_days)
    log.info("journal compacted", **asdict(report))


if __name__ == "__main__":
    main()
