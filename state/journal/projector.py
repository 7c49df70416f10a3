"""Reads the files of a journal into a projection."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from state.journal import records
from state.journal.heads import Heads
from state.journal.projection import Projection, RecordOffset
from state.journal.records import CorruptRecord
from state.journal.transitions import apply

#: Bytes between two reports of progress.
STEP = 256 * 1024
#: The month, and of copies from other machines whose they are.
_NAME = re.compile(r"\d{4}-\d{2}(.*?)\.jsonl(?:\.gz)?")


def project(files: Iterable[Path], progress: Callable[[int], None] = lambda _: None, key: str = "") -> Projection:
    """Read every record, or those of one key, and apply each.

    Args:
        files: Oldest first.
        progress: Called with the number of bytes that were read since the last call.
        key: Read only what concerns this key.

    Raises:
        NewerFormat: A newer version of Gatehouse wrote one of the files.

    """
    projection, heads = Projection(list(files)), defaultdict[str, Heads](Heads)
    containing = json.dumps(key, ensure_ascii=False).encode() if key else b""
    for number, path in enumerate(projection.files):
        projection.heads = heads[_writer(path)]
        read = 0
        for offset, length, found in records.scan(path, containing, records.decode_header):
            read += length
            if read >= STEP:
                progress(read)
                read = 0
            if isinstance(found, CorruptRecord):
                projection.damages.append(found)
                continue
            projection.records += 1
            apply(projection, found, RecordOffset(number, offset))
        progress(read)
    for each in heads.values():
        for agent, head in each.items():
            projection.fences[agent] = max(head.fence, projection.fences.get(agent, 0))
    return projection


def modes(files: Iterable[Path]) -> dict[str, str]:
    """Return how far persons said that each agent may go, however long ago that was. Raises NewerFormat."""
    found: dict[str, str] = {}
    for path in files:
        for _, _, record in records.scan(path, b'"event":"autonomy"'):
            if isinstance(record, dict) and record["event"] == "autonomy":
                found[record["agent"]] = record["mode"]
    return found


def _writer(path: Path) -> str:
    """Return which machine wrote a file: "" for this one, else what stands behind the month."""
    named = _NAME.fullmatch(path.name)
    return named[1] if named else path.name
