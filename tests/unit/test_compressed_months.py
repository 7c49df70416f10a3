"""Months that a person compressed with gzip: read as they are, once, and noticed where they are cut off."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from state.errors import JournalUnavailable
from state.journal import compressed, records
from state.journal.heads import JournalHead
from state.journal.journal import Journal
from state.journal.projector import project

AGENT = "clerk"
MONTHS = ("2026-08", "2026-09", "2026-10", "2026-11")


def intent(fence: int, epoch: str = "e1") -> bytes:
    fields = {"agent": AGENT, "key": f"k{fence}", "call": f"c{fence}", "fence": fence, "epoch": epoch}
    return records.encode("intent", fields | {"payload": {"text": "a word " * 40}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four months with three effects each, which begin with the epoch or a checkpoint."""
    for number, month in enumerate(MONTHS):
        lines = [intent(3 * number + fence) for fence in (1, 2, 3)]
        epoch = records.encode("epoch", {"agent": AGENT, "epoch": "e1", "fence": 0})
        checkpoint = records.encode("checkpoint", {"known": {AGENT: ["e1", 3 * number]}})
        (tmp_path / f"{month}.jsonl").write_bytes(b"".join([checkpoint if number else epoch, *lines]))
    return tmp_path


def compress(path: Path, *, cut: int = 0, keep: bool = False) -> Path:
    """As gzip does; `cut` bytes are missing at the end, and with `keep` it did not get to remove the file."""
    packed = path.with_name(f"{path.name}.gz")
    data = gzip.compress(path.read_bytes())
    packed.write_bytes(data[: len(data) - cut])
    if not keep:
        path.unlink()
    return packed


def names(folder: Path) -> list[str]:
    return [path.name for path in Journal(folder).files()]


def meaning(folder: Path) -> tuple[object, ...]:
    whole = project(Journal(folder).files())
    keys = {name: (key.state, key.fence, key.call, key.epoch) for name, key in whole.keys.items()}
    return keys, whole.fences, whole.records, whole.damages


def test_a_compressed_month_says_the_same_and_keeps_its_place(folder: Path) -> None:
    before = meaning(folder)

    for month in MONTHS[:2]:
        compress(folder / f"{month}.jsonl")

    assert names(folder) == ["2026-08.jsonl.gz", "2026-09.jsonl.gz", "2026-10.jsonl", "2026-11.jsonl"]
    assert meaning(folder) == before


def test_a_record_is_found_again_at_its_offset(folder: Path) -> None:
    packed = compress(folder / "2026-08.jsonl")

    with compressed.open_seekable(packed) as file:
        for offset, length, record in records.scan(packed):
            file.seek(offset)
            assert records.decode(file.read(length)) == record


@pytest.mark.parametrize("cut", [0, 1, 30])
def test_a_month_whose_compression_was_interrupted_counts_once(folder: Path, cut: int) -> None:
    before = meaning(folder)

    compress(folder / "2026-08.jsonl", cut=cut, keep=True)

    assert names(folder) == [f"{month}.jsonl" for month in MONTHS]
    assert meaning(folder) == before
    assert Journal(folder).known(AGENT) == JournalHead("e1", 12)


def test_a_file_that_was_begun_anew_under_its_name_is_read_behind_the_compressed_one(folder: Path) -> None:
    """A person compressed the month that is still written."""
    compress(folder / "2026-11.jsonl")
    (folder / "2026-11.jsonl").write_bytes(intent(13))

    assert names(folder)[-2:] == ["2026-11.jsonl.gz", "2026-11.jsonl"]
    assert project(Journal(folder).files()).fences == {AGENT: 13}
    assert Journal(folder).known(AGENT) == JournalHead("e1", 13)


def test_a_compressed_month_is_never_written_to(folder: Path) -> None:
    packed = compress(folder / "2026-11.jsonl")
    before = packed.read_bytes()

    Journal(folder).append("probe", {}, sync=True)

    assert packed.read_bytes() == before
    assert Journal(folder).known(AGENT) == JournalHead("e1", 12)


def test_an_agent_that_is_silent_since_a_compressed_month_is_not_forgotten(folder: Path) -> None:
    for month in MONTHS[1:]:
        (folder / f"{month}.jsonl").write_bytes(records.encode("probe", {}))
    compress(folder / "2026-08.jsonl")

    assert Journal(folder).known(AGENT) == JournalHead("e1", 3)


@pytest.mark.parametrize("month", MONTHS)
def test_a_process_that_follows_a_file_does_not_lose_it_when_it_is_compressed(folder: Path, month: str) -> None:
    journal = Journal(folder)
    assert journal.known(AGENT) == JournalHead("e1", 12)

    compress(folder / f"{month}.jsonl")

    assert journal.known(AGENT) == JournalHead("e1", 12)


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda data: data[:-30],
    "changed": lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
    "something else": lambda _: b"not compressed\n",
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("how", CUTS)
def test_a_compressed_file_that_cannot_be_read_is_damage_and_closes_effects_where_it_matters(
    folder: Path, how: str
) -> None:
    packed = compress(folder / "2026-08.jsonl")
    packed.write_bytes(CUTS[how](packed.read_bytes()))

    damage = project(Journal(folder).files()).damages[-1]

    assert (damage.path.name, damage.torn) == (packed.name, False)
    for month in MONTHS[1:]:
        (folder / f"{month}.jsonl").write_bytes(records.encode("probe", {}))
    with pytest.raises(JournalUnavailable, match=r"2026-08.jsonl.gz cannot be decompressed"):
        Journal(folder).known(AGENT)
