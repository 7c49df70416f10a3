"""One line of the journal: a JSON object with a checksum, readable with `tail` and proof against half a write."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from state import terminal

#: What every record begins with, in this order: a person who tails the file reads the same columns each time, and
#: `brief` need not read further.
FIRST = ("at", "event", "agent", "key", "call", "fence", "epoch", "outcome", "retry")

_BEGINNING = b'{"at":"'
_SUM = b',"sum":"'
_END = re.compile(rb',"sum":"[0-9a-f]{8}"\}')
_BRIEF = re.compile(
    rb'\{"at":"[^"\\]*","event":"([a-z]+)","agent":"([^"\\]*)","key":"([^"\\]*)","call":"([^"\\]*)"'
    rb'(?:,"fence":(\d+)(?:,"epoch":"([^"\\]*)")?(?:,"outcome":"([a-z]+)"(?:,"retry":(true|false))?)?)?[,}]'
)
#: What is said of every key.
_EPOCH = re.compile(rb'^\{"at":"[^"]*","event":"(?:epoch|checkpoint)"')
#: The events of which a journal is full, and whether they carry a fence, an epoch and an outcome.
_BRIEF_HAS = {b"registered": (False, False, False), b"intent": (True, True, False), b"outcome": (True, True, True)}

Record = dict[str, Any]


class Damaged(ValueError):
    """Raised for a line that is not what was written."""


@dataclass(frozen=True)
class CorruptRecord:
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
    return line(ordered)


def line(record: Record) -> bytes:
    """A record as it stands in the journal."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    if not text.isascii() or "\x7f" in text:
        text = terminal.json_text(text.encode(errors="replace").decode())
    body = text.encode()
    return b'%b%b%08x"}\n' % (body[:-1], _SUM, zlib.crc32(body))


def decode(line: bytes) -> Record:
    """The record of one line; raises Damaged."""
    return _parsed(_checked(line))


def decode_header(line: bytes) -> Record:
    """The same, but of the events of which a journal is full only what they begin with: a sixth of the time."""
    body = _checked(line)
    begins = _BRIEF.match(body)
    if begins is None:
        return _parsed(body)
    event, agent, key, call, fence, epoch, outcome, retry = begins.groups()
    if _BRIEF_HAS.get(event) != (fence is not None, epoch is not None, outcome is not None):
        return _parsed(body)
    record: Record = {"event": event.decode(), "agent": agent.decode(), "key": key.decode(), "call": call.decode()}
    if fence is not None:
        record["fence"] = int(fence)
    if epoch is not None:
        record["epoch"] = epoch.decode()
    if outcome is not None:
        record["outcome"] = outcome.decode()
    if retry is not None:
        record["retry"] = retry == b"true"
    return record


def read(path: Path) -> Iterator[Record | CorruptRecord]:
    """Every record of one file, in order, and a Damage for what cannot be read."""
    return (found for _, _, found in scan(path))


#: Where a record begins, how long it is with what stood before it, and the record.
Found = tuple[int, int, Record | CorruptRecord]


def scan(
    path: Path, holding: bytes = b"", reader: Callable[[bytes], Record] = decode, end: int | None = None
) -> Iterator[Found]:
    """The same with the offset and the length of each, for the lines before `end` that hold these bytes."""
    offset = 0
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if end is not None and offset >= end:
                break
            if holding in text or _EPOCH.search(text):
                try:
                    yield offset, len(text), reader(text)
                except Damaged:
                    yield from ((offset + at, length, found) for at, length, found in _broken(path, number, text))
            offset += len(text)


def decode_all(line: bytes, reader: Callable[[bytes], Record] = decode) -> Iterator[Record]:
    """Every whole record of a line: the one, or those that were appended behind a torn one."""
    try:
        yield reader(line)
    except Damaged:
        for start, end in _pieces(line):
            yield decode(line[start:end])


def _broken(path: Path, number: int, line: bytes) -> Iterator[Found]:
    """What is left of a line that is not one record: whole records, and a Damage for each gap before or behind them."""
    reached = 0
    for start, end in _pieces(line):
        if start > reached:
            yield reached, start - reached, CorruptRecord(path, number, torn=True)
        reached = len(line) if line[end:] == b"\n" else end
        yield start, reached - start, decode(line[start:end])
    rest = line[reached:]
    if rest.strip(b"\n"):
        yield reached, len(rest), CorruptRecord(path, number, torn=not rest.endswith(b"\n"))


def _pieces(line: bytes) -> Iterator[tuple[int, int]]:
    """Where whole records begin and end in a line. A writer that is cut off leaves no newline, so others follow there."""
    reached = 0
    for found in _END.finditer(line):
        start = line.find(_BEGINNING, reached, found.end())
        while start >= 0:
            if _is_whole(line[start : found.end()]):
                yield start, found.end()
                reached = found.end()
                break
            start = line.find(_BEGINNING, start + 1, found.end())


def _is_whole(text: bytes) -> bool:
    try:
        decode(text)
    except Damaged:
        return False
    return True


def _checked(line: bytes) -> bytes:
    """The JSON text whose checksum the line ends with; raises Damaged."""
    body, found, tail = line.rpartition(_SUM)
    body += b"}"
    if not found or tail.rstrip(b"\n") != b'%08x"}' % zlib.crc32(body):
        raise Damaged("the checksum does not fit")
    return body


def _parsed(body: bytes) -> Record:
    try:
        record: Record = from_json(body)
    except ValueError:
        record = _parsed_slowly(body)
    return record


def _parsed_slowly(body: bytes) -> Record:
    """By the standard library, which reads whatever it wrote, however deep."""
    try:
        record: Record = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Damaged(str(error)) from None
    return record
