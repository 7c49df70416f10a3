"""One line of the journal: a JSON object with a checksum, readable with `tail` and proof against half a write."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from state import terminal
from state.errors import NewerFormat
from state.journal.compressed import NOT_DECOMPRESSED, open_file

#: The newest version of the format that is read. Every record ends with its own, so that a file to which two versions of
#: Gatehouse wrote can be read; a record without a version has version 1. A record has the lowest version whose readers
#: understand it, so that an upgrade can be taken back until something is used that the version before does not know.
FORMAT = 2
#: What readers of version 1 would overlook, and so send without the approval, or would fail at: each has version 2.
_SINCE_2 = frozenset({"autonomy", "asked", "expired"})
#: What every record begins with, in this order: a person who tails the file reads the same columns each time, and
#: `decode_header` need not read further.
FIRST = ("at", "event", "agent", "key", "call", "fence", "epoch", "outcome", "retry")
#: Bytes at the end of a record among which its version stands.
MAX_VERSION = 20

#: Made once; `json.dumps` makes one for each record.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_BEGINNING = b'{"at":"'
#: What a whole record ends in, by its version, and where: a checksum of eight digits, a quotation mark and a brace follow.
_ENDS = frozenset(b',"v":%d,"sum":"' % version for version in range(1, FORMAT + 1))
_END_AT, _SUM_AT, _DIGITS_AT = -24, -18, -10
_VERSION = re.compile(rb',"v":(\d+)\}\Z')
_SUM = b',"sum":"'
_END = re.compile(rb',"sum":"[0-9a-f]{8}"\}')
_HEADER = re.compile(
    rb'\{"at":"[^"\\]*","event":"(?P<event>[a-z]+)","agent":"(?P<agent>[^"\\]*)","key":"(?P<key>[^"\\]*)",'
    rb'"call":"(?P<call>[^"\\]*)"(?:,"fence":(?P<fence>\d+)(?:,"epoch":"(?P<epoch>[^"\\]*)")?'
    rb'(?:,"outcome":"(?P<outcome>[a-z]+)"(?:,"retry":(?P<retry>true|false))?)?)?[,}]'
)
#: Records that matter to every key.
_EPOCH = re.compile(rb'^\{"at":"[^"]*","event":"(?:epoch|checkpoint)"')
#: The most common events, and whether their headers carry a fence, an epoch and an outcome.
_HEADER_HAS = {b"registered": (False, False, False), b"intent": (True, True, False), b"outcome": (True, True, True)}

Record = dict[str, Any]


class Damaged(ValueError):
    """Raised for a line that is not what was written."""


@dataclass(frozen=True)
class CorruptRecord:
    """A line, or its beginning, that cannot be read.

    A torn one was cut off while it was written, by a kill or a full disk: its writer did not go on.
    """

    path: Path
    line: int  #: counted from 1
    torn: bool

    def __str__(self) -> str:
        how = "cut off while it was written (harmless: nothing was sent for it)" if self.torn else "damaged"
        return f"{self.path.name}, line {self.line}: {how}"


def encode(event: str, fields: Mapping[str, Any]) -> bytes:
    """Return one record as a line of the journal, dated now for people: nothing is decided by this machine's clock."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    dated = {"at": now, "event": event, **fields}
    return line({name: dated[name] for name in FIRST if name in dated} | dated)


def line(record: Record) -> bytes:
    """Return a record as a line of the journal, with its version and its checksum."""
    text = _ENCODER.encode(record)
    if not text.isascii() or "\x7f" in text:
        text = terminal.json_text(text.encode(errors="replace").decode())
    body = b'%b,"v":%d}' % (text.encode()[:-1], _version_of(record))
    return b'%b%b%08x"}\n' % (body[:-1], _SUM, zlib.crc32(body))


def _version_of(record: Record) -> int:
    """Return the lowest version of the format whose readers understand a record."""
    is_revised = record["event"] == "resolved" and record["how"] == "revise"
    return 2 if is_revised or record["event"] in _SINCE_2 else 1


def is_one(line: bytes) -> bool:
    """Return whether a line without its newline looks like one record that this version reads, and not like several."""
    return line[_END_AT:_DIGITS_AT] in _ENDS and line.startswith(_BEGINNING) and line.find(_BEGINNING, 1) < 0


def decode(line: bytes) -> Record:
    """Return the record of one line.

    Raises:
        Damaged: The line is not what was written.
        NewerFormat: A newer version of Gatehouse wrote the record.

    """
    return _parsed(_checked(line))


def decode_header(line: bytes) -> Record:
    """Decode only the header fields of the three most common events; six times faster than `decode`. Raises as it does."""
    body = _checked(line)
    header = _HEADER.match(body)
    if header is None:
        return _parsed(body)
    event, agent, key, call, fence, epoch, outcome, retry = header.groups()
    if _HEADER_HAS.get(event) != (fence is not None, epoch is not None, outcome is not None):
        return _parsed(body)
    record: Record = {"event": _shared(event), "agent": _shared(agent), "key": key.decode(), "call": call.decode()}
    if fence is not None:
        record["fence"], record["epoch"] = int(fence), _shared(epoch)
    if outcome is not None:
        record["outcome"] = _shared(outcome)
    if retry is not None:
        record["retry"] = retry == b"true"
    return record


@lru_cache(maxsize=256)
def _shared(text: bytes) -> str:
    """Return a text of which there are few and that many records have, as one object."""
    return text.decode()


def decode_all(line: bytes, decoder: Callable[[bytes], Record] = decode) -> Iterator[Record]:
    """Yield every whole record of a line: the one, or those that were appended behind a torn one."""
    try:
        yield decoder(line)
    except Damaged:
        for start, end in _pieces(line):
            yield decode(line[start:end])


def read(path: Path) -> Iterator[Record | CorruptRecord]:
    """Yield every record of one file, in order, and a CorruptRecord for each part that cannot be read."""
    return (found for _, _, found in scan(path))


#: Where a record begins, the length of it and of what stood before it, and the record.
Found = tuple[int, int, Record | CorruptRecord]


def scan(path: Path, containing: bytes = b"", decoder: Callable[[bytes], Record] = decode) -> Iterator[Found]:
    """Yield the records of the lines that contain these bytes, and every epoch and checkpoint, with their places.

    Args:
        path: The file. In a compressed one, offsets and lengths count the bytes before compression.
        containing: What the line of a record must contain.
        decoder: `decode` or `decode_header`.

    Raises:
        NewerFormat: A newer version of Gatehouse wrote the file.

    """
    offset = number = 0
    try:
        with open_file(path) as file:
            for number, line in enumerate(file, 1):
                if not containing or containing in line or _EPOCH.search(line):
                    try:
                        yield offset, len(line), decoder(line)
                    except Damaged:
                        for at, length, found in _broken(path, number, line):
                            yield offset + at, length, found
                offset += len(line)
    except NOT_DECOMPRESSED:
        yield offset, 0, CorruptRecord(path, number + 1, torn=False)
    except NewerFormat as error:
        raise error.in_file(path.name) from None


def _broken(path: Path, number: int, line: bytes) -> Iterator[Found]:
    """Yield what is left of a line that is not one record: whole records, and the gaps before or behind them."""
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
    """Yield where whole records begin and end in a line. A writer that is cut off leaves no newline, so others follow there."""
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
    """Return the JSON text of a line without its checksum and its version; raises Damaged and NewerFormat."""
    text = line[:-1] if line.endswith(b"\n") else line
    if text[_END_AT:_DIGITS_AT] in _ENDS:
        checksum = zlib.crc32(b"}", zlib.crc32(text[:_SUM_AT]))
        if text[_DIGITS_AT:] == b'%08x"}' % checksum:
            return text[:_END_AT] + b"}"
    body, found, tail = line.rpartition(_SUM)
    body += b"}"
    if not found or tail.rstrip(b"\n") != b'%08x"}' % zlib.crc32(body):
        raise Damaged("the checksum does not fit")
    version = _VERSION.search(body, max(0, len(body) - MAX_VERSION))
    if version is None:
        return body
    if int(version[1]) > FORMAT:
        raise NewerFormat(int(version[1]), FORMAT)
    return body[: version.start()] + b"}"


def _parsed(body: bytes) -> Record:
    try:
        record: Record = from_json(body, cache_strings="keys")  # values are seldom the same
    except ValueError:
        record = _parsed_slowly(body)
    return record


def _parsed_slowly(body: bytes) -> Record:
    """Parse with the standard library, which reads whatever it wrote, however deep."""
    try:
        record: Record = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Damaged(str(error)) from None
    return record
