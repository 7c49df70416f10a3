"""What has no version of its own: what a newer version adds to it is left out, or it is made anew."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import asdict
from pathlib import Path

import pytest

from clients import content
from state import redis_format
from state.agents import state_file
from state.journal.shared.copy_state import CopyState
from state.journal.sync_word import SyncWord
from state.processes import hosts, liveness
from state.recovery import restore
from state.redis.keys import Keys
from tests.harness import Valkey

ROOT = Path(__file__).resolve().parents[2]


def test_a_record_of_a_process_is_read_without_what_it_does_not_know() -> None:
    own = asdict(liveness.ThisProcess("worker", "9.0", mark="3f2a9c")) | {"since_ms": 1, "seen_ms": 2, "moon": "full"}

    record = liveness.record_of(json.dumps(own))

    assert (record.kind, record.version, record.seen_ms) == ("worker", "9.0", 2)


def test_a_sign_of_a_host_is_read_without_what_it_does_not_know(valkey: Valkey) -> None:
    kinds = {"worker": {"seen_ms": 1, "version": "9.0", "moon": "full"}, "dreamer": {"seen_ms": 1, "version": "9.0"}}
    sign = {"name": "web9.abcdef", "boot": "b", "seen_ms": 1, "kinds": kinds, "moon": "full"}
    valkey.client().hset("gate:{house}:hosts", "abcdef", json.dumps(sign))

    [found] = [host for host in hosts.read() if host.mark == "abcdef"]

    assert found.name == "web9.abcdef"


def test_a_copy_of_the_table_with_further_fields_is_made_anew(tmp_path: Path) -> None:
    state = CopyState.of_nothing("copy-1")
    (tmp_path / "copy-1").mkdir()
    state.write(tmp_path)
    before = CopyState.read(tmp_path)
    text = json.dumps(asdict(state) | {"moon": "full"}).encode()

    (tmp_path / ".state").write_bytes(b"%b\n%08x\n" % (text, zlib.crc32(text)))

    assert before == state
    assert CopyState.read(tmp_path) is None


def test_a_longer_word_about_the_disk_is_not_believed() -> None:
    word = SyncWord(1, 2, 3, 4, 5)

    assert SyncWord.of(word.packed()) == word
    assert SyncWord.of(word.packed() + bytes(8)) is None


@pytest.mark.parametrize(("mode", "needed"), [("act", None), ("ask", "2"), ("observe", "2")])
def test_a_state_file_is_restored_without_what_it_does_not_know(
    valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, needed: str | None
) -> None:
    (tmp_path / "clerk.json").write_text(
        json.dumps({"agent": "clerk", "revision": 7, "metrics": {"total_done": 3}, "autonomy": mode, "moon": "full"})
    )
    monkeypatch.setattr(state_file, "path", lambda agent: tmp_path / f"{agent}.json")
    monkeypatch.setattr(state_file, "files", lambda agent: [tmp_path / f"{agent}.json"])

    assert restore.merge(valkey.client(), "clerk", lost_all=True)

    assert valkey.client().hget(Keys("clerk").metrics, "total_done") == "3"
    assert valkey.client().get(redis_format.key()) == needed


def test_a_post_with_a_further_field_is_broken_and_the_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "hello.md").write_text("---\ntitle: Hello\nmoon: full\n---\n\nIt begins.\n")

    with pytest.raises(content.BrokenPost, match="unknown in its front matter: 'moon'"):
        content.load("hello", tmp_path)


def test_each_row_of_the_table_of_formats_names_a_test_that_exists() -> None:
    rows = [line for line in (ROOT / "docs/upgrade.md").read_text().splitlines() if line.startswith("| ")]

    named = [re.findall(r"`(tests/[\w/]+\.py)` \|$", row) for row in rows[1:]]

    assert len(named) >= 12
    assert all(len(each) == 1 and (ROOT / each[0]).is_file() for each in named), named
