"""One line of the journal: whole, torn at any byte, glued to another, or damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.journal import records
from state.journal.records import CorruptRecord, Damaged, Record

INTENT = {
    "agent": "publisher",
    "key": "publish:feed:grüße",
    "task": "tasks.publisher.publish",
    "call": "c1",
    "door": "beat",
    "fingerprint": "f" * 64,
    "kwargs": {"post_id": 'a "quoted" one', "at": "never"},
    "fence": 7,
    "epoch": "e1",
    "owner": "host-1/1",
    "payload": {"text": "one\ntwo ✓", "sum": "deadbeef", "nested": {"at": "x", "sum": "00000000"}},
}
OUTCOME = {"agent": "publisher", "key": "publish:feed:grüße", "call": "c1", "fence": 7, "outcome": "done"}


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "2026-11.jsonl"
    path.write_bytes(data)
    return path


def whole(found: list[Record | CorruptRecord]) -> list[Record]:
    return [each for each in found if not isinstance(each, CorruptRecord)]


def damages(found: list[Record | CorruptRecord]) -> list[CorruptRecord]:
    return [each for each in found if isinstance(each, CorruptRecord)]


def without_date(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in {"at", "event"}}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_a_line_is_one_json_object_that_a_person_can_read() -> None:
    line = records.encode("intent", INTENT)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    shown = json.loads(line)
    assert list(shown)[:7] == ["at", "event", "agent", "key", "call", "fence", "epoch"]
    assert shown["payload"] == INTENT["payload"]
    assert "grüße" in line.decode()


@given(payload=JSON)
def test_what_is_written_is_what_is_read(payload: Any) -> None:
    record = records.decode(records.encode("intent", {**INTENT, "payload": payload}))

    assert without_date(record) == {**INTENT, "payload": payload}


def test_what_no_unicode_can_say_is_written_all_the_same() -> None:
    record = records.decode(records.encode("ended", {"agent": "clerk", "why": "caf\udce9"}))

    assert record["why"] == "caf?"


def test_a_payload_of_any_depth_is_read_back() -> None:
    deep: Any = "core"
    for _ in range(500):
        deep = [deep]

    assert records.decode(records.encode("intent", {**INTENT, "payload": deep}))["payload"] == deep


def test_every_flipped_bit_is_noticed() -> None:
    line = records.encode("outcome", OUTCOME)

    for at in range(len(line) - 1):  # the newline is no part of the record
        for bit in range(8):
            flipped = bytearray(line)
            flipped[at] ^= 1 << bit
            with pytest.raises(Damaged):
                records.decode(bytes(flipped))


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b"null\n", b"\0\0\0\0", b'{"at":"', b',"sum":"00000000"}\n'])
def test_what_never_was_a_record_is_damaged(line: bytes) -> None:
    with pytest.raises(Damaged):
        records.decode(line)


def test_a_line_torn_at_any_byte_is_reported_as_torn_and_never_read(tmp_path: Path) -> None:
    good, cut = records.encode("outcome", OUTCOME), records.encode("intent", INTENT)

    for length in range(1, len(cut) - 1):  # the last byte but one makes it whole
        found = list(records.read(written(tmp_path, good + cut[:length])))
        assert [without_date(record) for record in whole(found)] == [OUTCOME], length
        assert [(damage.line, damage.torn) for damage in damages(found)] == [(2, True)], length


def test_only_the_newline_missing_leaves_the_record_whole(tmp_path: Path) -> None:
    found = list(records.read(written(tmp_path, records.encode("intent", INTENT)[:-1])))

    assert [without_date(record) for record in whole(found)] == [INTENT]
    assert not damages(found)


def test_a_record_glued_to_a_line_torn_at_any_byte_is_read(tmp_path: Path) -> None:
    cut, good = records.encode("intent", INTENT), records.encode("outcome", OUTCOME)

    for length in range(1, len(cut) - 1):
        found = list(records.read(written(tmp_path, cut[:length] + good)))
        assert [without_date(record) for record in whole(found)] == [OUTCOME], length
        assert [damage.torn for damage in damages(found)] == [True], length


def test_of_three_records_glued_together_each_whole_one_is_read(tmp_path: Path) -> None:
    """Two writers were cut off, the first just before its newline."""
    first, second, third = (records.encode("outcome", {**OUTCOME, "fence": fence}) for fence in (1, 2, 3))

    found = list(records.read(written(tmp_path, first[:-1] + second[:40] + third)))

    assert [record["fence"] for record in whole(found)] == [1, 3]
    assert [damage.torn for damage in damages(found)] == [True]


def test_a_flipped_newline_costs_no_record(tmp_path: Path) -> None:
    lines = [records.encode("outcome", {**OUTCOME, "fence": fence}) for fence in (1, 2, 3)]
    data = bytearray(b"".join(lines))
    data[len(lines[0]) - 1] ^= 0x40
    data[-1] ^= 0x40

    assert [record["fence"] for record in whole(list(records.read(written(tmp_path, bytes(data)))))] == [1, 2, 3]


def test_a_flipped_bit_inside_the_file_is_damage_and_not_a_torn_line(tmp_path: Path) -> None:
    lines = [records.encode("outcome", {**OUTCOME, "fence": fence}) for fence in (1, 2, 3)]
    data = bytearray(b"".join(lines))
    data[len(lines[0]) + 60] ^= 1

    found = list(records.read(written(tmp_path, bytes(data))))

    assert [record["fence"] for record in whole(found)] == [1, 3]
    assert [(damage.line, damage.torn) for damage in damages(found)] == [(2, False)]
    assert str(damages(found)[0]) == "2026-11.jsonl, line 2: damaged"


def test_zeros_where_a_power_cut_lost_a_page_hide_nothing_behind_them(tmp_path: Path) -> None:
    found = list(records.read(written(tmp_path, b"\0" * 4096 + records.encode("outcome", OUTCOME))))

    assert [without_date(record) for record in whole(found)] == [OUTCOME]


def test_a_record_is_found_again_at_the_place_that_was_told(tmp_path: Path) -> None:
    """Also one that stands behind a torn line, or before another record in the same line."""
    lines = [records.encode("intent", {**INTENT, "fence": fence}) for fence in range(1, 6)]
    data = lines[0] + lines[1][:100] + lines[2][:-1] + lines[3] + lines[4]
    path = written(tmp_path, data)

    told = [(offset, found) for offset, _, found in records.scan(path) if not isinstance(found, CorruptRecord)]

    assert [found["fence"] for _, found in told] == [1, 3, 4, 5]
    for offset, found in told:
        assert next(records.decode_all(data[offset:].partition(b"\n")[0])) == found


def test_the_lengths_told_add_up_to_the_file(tmp_path: Path) -> None:
    lines = [records.encode("intent", {**INTENT, "fence": fence}) for fence in range(1, 5)]
    data = lines[0] + lines[1][:100] + lines[2] + lines[3][:50]

    assert sum(length for _, length, _ in records.scan(written(tmp_path, data))) == len(data)


def test_only_the_lines_that_hold_certain_bytes_are_read(tmp_path: Path) -> None:
    lines = [records.encode("outcome", {**OUTCOME, "key": key}) for key in ("a", "b", "a")]

    found = [each for *_, each in records.scan(written(tmp_path, b"".join(lines)), b'"key":"a"')]

    assert [record["key"] for record in whole(found)] == ["a", "a"]


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("intent", INTENT),
        ("intent", {**INTENT, "key": 'a "quoted" key'}),
        ("registered", {name: INTENT[name] for name in ("agent", "key", "task", "call", "door", "fingerprint")}),
        ("outcome", OUTCOME),
        ("outcome", {**OUTCOME, "outcome": "failed", "retry": True, "error": "reset"}),
        ("outcome", {**OUTCOME, "outcome": "refused", "retry": False}),
        ("outcome", {"outcome": "done", **OUTCOME, "result": {"outcome": "failed"}}),
        ("point", {"agent": "publisher", "key": "a", "call": "c", "fence": 2, "name": "container", "value": "17"}),
        ("resolved", {**INTENT, "how": "cancel", "by": "ada", "why": "gone"}),
        ("ended", {"agent": "publisher", "key": "a", "call": "c", "state": "rejected"}),
        ("epoch", {"agent": "publisher", "epoch": "e2", "fence": 7}),
        ("checkpoint", {"known": {"publisher": ["e2", 7]}}),
    ],
)
def test_the_brief_reading_says_the_same_as_the_whole_one(event: str, fields: dict[str, Any]) -> None:
    line = records.encode(event, fields)
    whole_one, brief = records.decode(line), records.decode_header(line)

    assert brief == {name: whole_one[name] for name in brief}
    needed = {"event", "agent", "key", "call", "fence", "epoch", "outcome", "retry", "known", "how", "state", "name"}
    assert needed & whole_one.keys() <= brief.keys()


def test_the_brief_reading_notices_every_flipped_bit() -> None:
    line = records.encode("intent", INTENT)

    for at in range(0, len(line) - 1, 3):
        flipped = bytearray(line)
        flipped[at] ^= 1
        with pytest.raises(Damaged):
            records.decode_header(bytes(flipped))


def test_a_record_of_other_columns_is_read_by_name() -> None:
    """As somebody's own tool might write it: in another order, and with the same names deeper inside."""
    line = records.line({"at": "2026", "event": "outcome", "kwargs": {"fence": 99, "outcome": "failed"}} | OUTCOME)

    assert records.decode_header(line)["fence"] == 7
    assert records.decode_header(line)["outcome"] == "done"
