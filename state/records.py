"""One line of the journal: a JSON object with a checksum, readable with `tail` and proof against half a write."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: What every record begins with, in this order, so that a person who tails the file reads the same columns each time.
FIRST = ("at", "event", "agent", "key")

_BEGINNING = b'{"at":"'
_SUM = b',"sum":"'

Record = dict[str, Any]


class Damaged(ValueError):
    """Raised for a line that is not what was written."""


@dataclass(frozen=True)
class Damage:
    """A line, or its beginning, that cannot be read.

    A torn one was cut off while it was written, by a kill or a full disk: nobody was told that it was safe.
    """

    path: Path
    line: int  #: counted from 1
    torn: bool

    def __str__(self) -> str:
        how = "cut off while it was written (harmless: nothing was sent for it)" if self.torn else "damaged"
        return f"{self.path.name}, line {self.line}: {how}"


def now() -> str:
    """This machine's time as the journal writes it. For people: nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(event: str, fields: Mapping[str, Any]) -> bytes:
    """One record as a line, dated now."""
    dated = {"at": now(), "event": event, **fields}
    ordered = {name: dated[name] for name in FIRST if name in dated} | dated
    body = json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return b'%b%b%08x"}\n' % (body[:-1], _SUM, zlib.crc32(body))


def decode(line: bytes) -> Record:
    """The record of one line; raises Damaged."""
    body, found, tail = line.rpartition(_SUM)
    body += b"}"
    if not found or tail.rstrip(b"\n") != b'%08x"}' % zlib.crc32(body):
        raise Damaged("the checksum does not fit")
    try:
        record: Record = json.loads(body)
    except ValueError as error:
        raise Damaged(str(error)) from None
    return record


def salvage(line: bytes) -> Record | None:
    """The record that was appended right behind a torn one, if there is one in this line."""
    start = line.find(_BEGINNING, 1)
    while start > 0:
        try:
            return decode(line[start:])
        except Damaged:
            start = line.find(_BEGINNING, start + 1)
    return None


def read(path: Path) -> Iterator[Record | Damage]:
    """Every record of one file, in order, and a Damage for what cannot be read."""
    return (found for _, _, found in places(path))


def places(path: Path, holding: bytes = b"") -> Iterator[tuple[int, int, Record | Damage]]:
    """The same with the offset and the length of each line, for the lines that hold these bytes."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if holding in line:
                yield from ((offset, length, found) for length, found in _of_line(path, number, line))
            offset += len(line)


def _of_line(path: Path, number: int, line: bytes) -> Iterator[tuple[int, Record | Damage]]:
    try:
        yield len(line), decode(line)
    except Damaged:
        behind = salvage(line)
        yield len(line), Damage(path, number, torn=behind is not None or not line.endswith(b"\n"))
        if behind:
            yield 0, behind


def of_line(line: bytes) -> Record:
    """The record of a line, or the one behind its torn beginning; raises Damaged."""
    try:
        return decode(line)
    except Damaged:
        behind = salvage(line)
        if behind is None:
            raise
        return behind
