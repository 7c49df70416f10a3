"""The word of the journal on one key, for a person who compares it with Redis. Every read has a bound."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from state.errors import JournalUnavailable
from state.journal import records, transitions
from state.journal.compressed import COMPRESSED
from state.journal.projection import Projection, RecordOffset
from state.journal.records import Record
from state.ledger.stores import Stores

#: Bytes at the end of the journal in which a page looks for a key: some milliseconds.
NEWEST_BYTES = 8 * 1024 * 1024
#: Seconds after which a search of the whole journal stops.
SEARCH_SECONDS = 1.5
#: Bytes read at once.
PIECE = 4 * 1024 * 1024


@dataclass(frozen=True)
class JournalWord:
    """The records of one key, oldest first, and the state that they amount to (empty: none)."""

    records: list[Record] = field(default_factory=list)
    state: str = ""
    read_bytes: int = 0
    whole: bool = True  #: every file was read to its beginning
    problem: str = ""  #: why the journal cannot be read


class JournalReading(Stores):
    """The journal as a person reads it, key by key."""

    def journal_word(self, agent: str, key: str, most: int = NEWEST_BYTES) -> JournalWord:
        """Return what the journal says of a key.

        Args:
            agent: The agent.
            key: The key.
            most: How many bytes to read, from the end of the journal backwards; it takes SEARCH_SECONDS at most.

        """
        try:
            return _search(self.journal.files(), agent, key, most)
        except JournalUnavailable as error:
            return JournalWord(problem=str(error))
        except OSError as error:
            return JournalWord(problem=f"the journal cannot be read: {error.strerror}: {error.filename}")


def _search(files: list[Path], agent: str, key: str, most: int) -> JournalWord:
    containing = json.dumps(key, ensure_ascii=False).encode(errors="replace")
    found: list[Record] = []
    read, whole, end = 0, True, time.monotonic() + SEARCH_SECONDS
    for path in reversed(files):
        if path.suffix == COMPRESSED or read >= most or time.monotonic() > end:
            whole = False
            break
        own: list[Record] = []
        for lines, size, at in _pieces_from_the_end(path):
            own = [*_of_key(lines, containing, agent, key), *own]
            read += size
            if at and (read >= most or time.monotonic() > end):
                whole = False
                break
        found = [*own, *found]
    return JournalWord(found, _state(found, agent, key), read, whole)


def _pieces_from_the_end(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yield the whole lines of a file in pieces, the last piece first, with the bytes read and where the piece begins."""
    with path.open("rb") as file:
        end, rest = file.seek(0, os.SEEK_END), b""
        while end:
            begin = max(0, end - PIECE)
            file.seek(begin)
            piece = file.read(end - begin) + rest
            first = piece.find(b"\n") + 1 if begin else 0
            rest = piece[:first] if begin else b""
            yield piece[first:], end - begin, begin
            end = begin


def _of_key(lines: bytes, containing: bytes, agent: str, key: str) -> Iterator[Record]:
    at = lines.find(containing)
    while at >= 0:
        begin, end = lines.rfind(b"\n", 0, at) + 1, lines.find(b"\n", at)
        end = len(lines) if end < 0 else end + 1
        for record in records.decode_all(lines[begin:end]):
            if (record.get("agent"), record.get("key")) == (agent, key):
                yield record
        at = lines.find(containing, end)


def _state(found: list[Record], agent: str, key: str) -> str:
    """Return the state of the key that a rebuild from these records alone would give it."""
    made = Projection([])
    for record in found:
        transitions.apply(made, record, RecordOffset(0, 0))
    if known := made.keys.get((agent, key)):
        return known.state
    return "queued" if any(name == agent for name, _ in made.calls) else ""
