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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from state import records
from state.files import UNFINISHED, sync_folder, write_whole
from state.fold import Fold, Place, Standing, fold
from state.journal import Journal
from state.records import Damage, Record
from state.watermark import STILL_WRITTEN

#: What no later record can change; a key in another state keeps all its records.
_OVER = ("done", "rejected")


@dataclass
class Report:
    """What was compacted; nothing most of the time."""

    files: list[str] = field(default_factory=list)
    bytes_before: int = 0
    bytes_after: int = 0
    damaged: list[str] = field(default_factory=list)  #: lines because of which nothing was touched


def compact(journal: Journal, ledger_days: int) -> Report:
    """Rewrite each file whose month ended longer than `ledger_days` ago, once. Cheap when there is nothing to do.

    Reading and writing go on meanwhile. A kill leaves each file as it was, or compacted. Raises JournalUnavailable, and
    OSError.
    """
    old = _old_files(journal, ledger_days)
    if not old or _seen(journal) == _identities(old):
        return Report()
    with _only_one(journal) as is_mine:
        return _compact(journal, old) if is_mine else Report()


def _old_files(journal: Journal, ledger_days: int) -> list[Path]:
    """Those that nobody writes to any more, and whose every record is old enough."""
    limit = datetime.now(UTC) - timedelta(days=ledger_days)
    return [path for path in journal.files()[:-STILL_WRITTEN] if _end_of(path) <= limit]


def _end_of(path: Path) -> datetime:
    try:
        month = datetime.strptime(path.stem, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)  # somebody else's file
    return (month + timedelta(days=32)).replace(day=1)


def _compact(journal: Journal, old: list[Path]) -> Report:
    for left in journal.folder.glob(f".*{UNFINISHED}"):
        left.unlink(missing_ok=True)
    identities, report = _identities(old), Report()
    whole = fold(journal.files())
    report.damaged = [str(damage) for damage in whole.damages if not damage.torn]
    if not report.damaged:
        _replace(journal, old, whole, report)
        identities = _identities(old)
    write_whole(_marker(journal), json.dumps(identities).encode())
    return report


def _replace(journal: Journal, old: list[Path], whole: Fold, report: Report) -> None:
    identities = _identities(old)
    fresh = [_rewritten(path, number, whole) for number, path in enumerate(old)]
    try:
        _check(whole, fold([*fresh, *whole.files[len(old) :]]))
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


def _rewritten(path: Path, number: int, whole: Fold) -> Path:
    """The compacted form of one file, on the disk beside it."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        _write(file, path, number, whole)
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _write(file: BinaryIO, path: Path, number: int, whole: Fold) -> None:
    known: dict[str, list[Any]] = {}
    for offset, _, record in records.places(path):
        if isinstance(record, Damage):
            continue  # torn
        _note(known, record)
        kept = _kept(record, Place(number, offset), whole)
        if kept:
            file.write(records.seal(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()))
    at = {"at": records.now(), "event": "checkpoint"}
    file.write(records.seal(json.dumps(at | {"known": known}, ensure_ascii=False, separators=(",", ":")).encode()))


def _note(known: dict[str, list[Any]], record: Record) -> None:
    """The epoch and the highest fence of each agent, whether or not the records that say so are kept."""
    if record["event"] == "checkpoint":
        said = [(agent, epoch, fence) for agent, (epoch, fence) in record["known"].items()]
    elif record["event"] in {"epoch", "intent"}:
        said = [(record["agent"], record["epoch"], record["fence"])]
    else:
        return
    for agent, epoch, fence in said:
        before = known.get(agent, [epoch, 0])
        newest = epoch if record["event"] == "epoch" else before[0]
        known[agent] = [newest, max(fence, before[1])]


def _kept(record: Record, place: Place, whole: Fold) -> Record | None:
    """What is left of a record: all, a part, or nothing."""
    event = record["event"]
    if event == "checkpoint":
        return None  # one is written at the end, for the whole file
    if event == "registered":
        return record if (record["agent"], record["call"]) in whole.calls else None
    standing = whole.keys.get((record.get("agent", ""), record.get("key", "")))
    if event == "ended" and standing is None:
        return None
    if standing is None or standing.state not in _OVER:
        return record
    return _of_what_is_over(record, place, standing)


def _of_what_is_over(record: Record, place: Place, standing: Standing) -> Record | None:
    if standing.state == "rejected" and place.file >= 0:
        return None
    if place == standing.intent:
        return {name: value for name, value in record.items() if name != "verify"} | {"payload": None}
    return record if place == standing.outcome else None


def _check(before: Fold, after: Fold) -> None:
    """Raise unless the compacted journal says the same; nothing has been replaced yet."""
    ends = {name: (kept.state, kept.fence, kept.call) for name, kept in before.keys.items()}
    same = {name: (kept.state, kept.fence, kept.call) for name, kept in after.keys.items()}
    lost = {name for name, (state, *_) in ends.items() if state != "rejected" and same.get(name) != ends[name]}
    if lost or same.keys() - ends.keys() or before.calls.keys() != after.calls.keys() or before.fences != after.fences:
        raise AssertionError(f"the journal would not say the same when compacted, so it is left: {sorted(lost)[:5]}")


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
