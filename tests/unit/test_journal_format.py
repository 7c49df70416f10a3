"""The version of the journal's format: records of an earlier version are read, and nothing guesses what a newer one says."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pytest

from state.errors import JournalUnavailable, NewerFormat
from state.journal import records
from state.journal.heads import JournalHead
from state.journal.journal import Journal
from state.journal.projector import project

EPOCH = {"agent": "clerk", "epoch": "e1", "fence": 0}
INTENT = {"agent": "clerk", "key": "k", "call": "c", "fence": 1, "epoch": "e1", "payload": {"a": 1, "v": 9}}


def of_version(line: bytes, version: str) -> bytes:
    """The same record as another version would write it, with a checksum that fits."""
    body = line.rpartition(b',"sum":"')[0].removesuffix(b',"v":1') + version.encode()
    return b'%b,"sum":"%08x"}\n' % (body, zlib.crc32(body + b"}"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "2026-11.jsonl"


def test_every_record_ends_with_its_version_which_is_no_part_of_it() -> None:
    line = records.encode("intent", INTENT)

    assert re.search(rb',"v":1,"sum":"[0-9a-f]{8}"}\n\Z', line)
    assert records.decode(line)["payload"] == {"a": 1, "v": 9}
    assert "v" not in records.decode(line)


@pytest.mark.parametrize("last", [{"kwargs": {"v": 9}}, {"why": ',"v":9'}, {"v2": 9}, {"payload": [1, {"v": 9}]}])
def test_a_record_of_the_first_version_has_none_whatever_it_ends_with(last: dict[str, object]) -> None:
    line = of_version(records.encode("intent", INTENT | last), "")

    assert b'"v":1' not in line
    assert records.decode(line).items() >= (INTENT | last).items()
    assert records.decode_header(line)["fence"] == 1


@pytest.mark.parametrize("event", ["epoch", "intent", "unheard of"])
def test_a_newer_record_closes_effects_and_names_the_file_and_the_way_out(path: Path, event: str) -> None:
    path.write_bytes(records.encode("epoch", EPOCH) + records.encode("intent", INTENT))
    journal = Journal(path.parent)
    assert journal.known("clerk") == JournalHead("e1", 1)

    with path.open("ab") as file:
        file.write(of_version(records.encode(event, INTENT), ',"v":3'))

    words = r"2026-11.jsonl has records of format 3, .* reads up to format 2; .*start the version that wrote them"
    with pytest.raises(JournalUnavailable, match=words):
        journal.known("clerk")
    with pytest.raises(JournalUnavailable, match=words):
        Journal(path.parent).agents()
    with pytest.raises(NewerFormat, match=words):
        project([path])


def test_a_newer_record_behind_a_torn_one_is_noticed_too(path: Path) -> None:
    torn = records.encode("intent", INTENT)[:50]
    path.write_bytes(records.encode("epoch", EPOCH) + torn + of_version(records.encode("intent", INTENT), ',"v":3'))

    with pytest.raises(NewerFormat, match="format 3"):
        project([path])
    with pytest.raises(NewerFormat, match="format 3"):
        Journal(path.parent).known("clerk")


def test_a_damaged_version_is_damage_and_not_a_newer_version(path: Path) -> None:
    path.write_bytes(records.encode("intent", INTENT).replace(b',"v":1', b',"v":3'))

    assert [damage.torn for damage in project([path]).damages] == [False]


ASKED = {**INTENT, "revision": 1, "digest": "d", "type": "", "proposal": {"a": 1}}
RESOLVED = {"agent": "clerk", "key": "k", "call": "c", "fence": 1, "by": "ada", "why": "so"}


@pytest.mark.parametrize(
    ("event", "fields", "version"),
    [
        ("intent", INTENT, 1),
        ("outcome", INTENT | {"outcome": "done"}, 1),
        ("resolved", RESOLVED | {"how": "applied"}, 1),
        ("decision", {"agent": "clerk", "decision": {"what": "pause"}}, 1),
        ("autonomy", {"agent": "clerk", "mode": "ask", "by": "ada", "why": "new"}, 2),
        ("asked", ASKED, 2),
        ("expired", RESOLVED | {"revision": 1}, 2),
        ("resolved", RESOLVED | {"how": "revise", "revision": 2}, 2),
    ],
)
def test_a_record_has_the_lowest_version_whose_readers_understand_it(
    event: str, fields: dict[str, object], version: int
) -> None:
    line = records.encode(event, fields)

    assert b',"v":%d,"sum":"' % version in line
    assert records.decode(line).items() >= fields.items()
    assert records.decode_header(line)["event"] == event
    assert records.is_one(line[:-1])
