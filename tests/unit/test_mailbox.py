"""The mailbox: one line per message, whole and readable, wherever names come from and whatever happened to the file."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import settings
from clients import mailbox
from clients.mailbox import Delivered, Reply
from gatekeeper import NotApplied, Rung
from gatekeeper.run import prospects
from tasks import responder
from tests.harness import until


@pytest.fixture(autouse=True)
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    settings.current.cache_clear()
    yield tmp_path / "state" / "mailbox"
    monkeypatch.undo()
    settings.current.cache_clear()


def a_reply(message_id: str = "m1", **fields: Any) -> Reply:
    whole = {"channel": "chat", "conversation": "c1", "sender": "ada", "message": "Hello?", "reply": "Hello!"}
    return Reply(**{**whole, "message_id": message_id, "rung": Rung.RULES, "by": "rules", **fields})


def lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_reply_is_one_readable_line_beside_the_message_it_answers(box: Path) -> None:
    delivered = mailbox.deliver(a_reply(message="Grüße?"))

    [line] = lines(box / "chat" / "c1.jsonl")
    assert delivered.file == "mailbox/chat/c1.jsonl"
    assert line == {"at": line["at"], **a_reply(message="Grüße?").model_dump(mode="json")}
    assert "Grüße?" in (box / "chat" / "c1.jsonl").read_text()


def test_a_message_is_answered_once_whatever_the_second_answer_says(box: Path) -> None:
    first = mailbox.deliver(a_reply())

    again = mailbox.deliver(a_reply(reply="Something else"))

    assert again == first
    assert [line["reply"] for line in lines(box / "chat" / "c1.jsonl")] == ["Hello!"]


def test_a_reply_can_be_looked_up(box: Path) -> None:
    assert mailbox.find(a_reply()) is None
    assert not box.exists()

    delivered = mailbox.deliver(a_reply())

    assert mailbox.find(a_reply(reply="forgotten")) == delivered
    assert mailbox.find(a_reply("m2")) is None
    assert mailbox.find(a_reply(conversation="c2")) is None


@pytest.mark.parametrize("torn", [b'{"message_id": "m1", "at": "2026', b"\xff\xfe", b"[]", b'"m1"', b"[" * 100_000])
def test_a_torn_last_line_is_passed_over_and_the_next_one_is_whole(box: Path, torn: bytes) -> None:
    mailbox.deliver(a_reply("m0"))
    file = box / "chat" / "c1.jsonl"
    with file.open("ab") as writer:
        writer.write(torn)

    delivered = mailbox.deliver(a_reply("m1"))

    first, broken, last = file.read_bytes().splitlines()
    assert (json.loads(first)["message_id"], broken, json.loads(last)["message_id"]) == ("m0", torn, "m1")
    assert mailbox.find(a_reply("m1")) == delivered


def test_a_line_that_lacks_only_its_end_counts(box: Path) -> None:
    mailbox.deliver(a_reply())
    file = box / "chat" / "c1.jsonl"
    file.write_bytes(file.read_bytes().rstrip(b"\n"))

    mailbox.deliver(a_reply())
    mailbox.deliver(a_reply("m2"))

    assert [line["message_id"] for line in lines(file)] == ["m1", "m2"]


HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "a/b",
    "a\\b",
    "a\x00b",
    "x" * 100,
    "-",
    "~",
    "C1",
    "c1 ",
    "ß",
    "\u202e",
    "con.",
    "a~b",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leads_out_of_the_mailbox_or_to_another_conversation(box: Path, name: str) -> None:
    plain = mailbox.deliver(a_reply())

    delivered = mailbox.deliver(a_reply(conversation=name))
    elsewhere = mailbox.deliver(a_reply(channel=name))

    files = {path.resolve() for path in box.rglob("*.jsonl")}
    assert len({plain.file, delivered.file, elsewhere.file}) == 3
    assert files == {(settings.current().state_dir / d.file).resolve() for d in (plain, delivered, elsewhere)}
    assert all(box.resolve() in file.parents for file in files)


def test_no_two_names_share_a_file() -> None:
    files = [mailbox.deliver(a_reply(conversation=name)).file for name in [*HOSTILE, "c1", "etc-passwd", "a-b"]]

    assert len(set(files)) == len(files)


def test_letters_are_for_nobody_elses_eyes(box: Path) -> None:
    mailbox.deliver(a_reply())

    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (box, box / "chat", box / "chat" / "c1.jsonl")}
    assert list(modes.values()) == [0o700, 0o700, 0o600]


def test_a_link_that_somebody_put_there_is_not_followed(box: Path, tmp_path: Path) -> None:
    (box / "chat").mkdir(parents=True)
    (box / "chat" / "c1.jsonl").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(NotApplied, match="cannot be opened"):
        mailbox.deliver(a_reply())

    assert not (tmp_path / "elsewhere").exists()


def test_a_disk_that_is_full_leaves_nothing_of_the_reply_and_says_so(box: Path) -> None:
    """A limit on the size of files fails a write half-way, as a full disk does."""
    mailbox.deliver(a_reply("m0"))
    file = box / "chat" / "c1.jsonl"
    before = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, hard))
    try:
        with pytest.raises(NotApplied, match="was not written"):
            mailbox.deliver(a_reply("m1"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)

    assert file.read_bytes() == before
    assert mailbox.find(a_reply("m1")) is None


def open_here(file: Path) -> int:
    """Count the descriptors that this process has open for the file."""
    return sum(os.path.realpath(each) == str(file.resolve()) for each in Path("/proc/self/fd").iterdir())


def test_a_mailbox_that_a_stopped_process_has_locked_is_written_later(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "PATIENCE", 0.1)
    mailbox.deliver(a_reply("m0"))
    with (box / "chat" / "c1.jsonl").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(NotApplied, match="another process has held this lock") as refused:
            mailbox.deliver(a_reply("m1"))

    assert prospects.of(refused.value).temporary


def test_whoever_comes_while_another_writes_waits_and_sees_what_was_written(box: Path) -> None:
    mailbox.deliver(a_reply("m0"))
    file = box / "chat" / "c1.jsonl"
    with file.open("ab") as other, ThreadPoolExecutor(1) as pool:
        fcntl.flock(other, fcntl.LOCK_EX)
        late = pool.submit(mailbox.deliver, a_reply("m1", reply="Late"))
        until(lambda: late.done() or open_here(file) == 2)  # the other one is of the reply that waits
        first = {"at": "2026-11-22T13:00:00+00:00", **a_reply("m1", reply="First").model_dump(mode="json")}
        other.write(json.dumps(first).encode() + b"\n")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_UN)

    assert late.result().delivered_at.isoformat() == first["at"]
    assert [line["reply"] for line in lines(file)] == ["Hello!", "First"]


def test_many_at_once_leave_whole_lines_and_one_reply_per_message(box: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        delivered: list[Delivered] = list(pool.map(lambda n: mailbox.deliver(a_reply(f"m{n % 10}")), range(60)))

    assert sorted(line["message_id"] for line in lines(box / "chat" / "c1.jsonl")) == [f"m{n}" for n in range(10)]
    assert len({each.delivered_at for each in delivered}) == 10


LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def test_messages_that_are_left_to_a_person_are_counted_by_channel(box: Path) -> None:
    kept = "Thank you. It is kept for a person to see."
    mailbox.deliver(a_reply("m1", reply=kept))
    mailbox.deliver(a_reply("m2", reply=kept, conversation="c2"))
    mailbox.deliver(a_reply("m3", reply="Received.", rung=Rung.RAW, channel="mail"))
    mailbox.deliver(a_reply("m4", reply="At nine, says the model.", rung=Rung.MODEL))
    mailbox.deliver(a_reply("m5", reply="I do not know; a person will see this.", rung=Rung.MODEL))
    mailbox.deliver(a_reply("m6", reply="You are welcome!", channel="calm"))
    with (box / "chat" / "c1.jsonl").open("a") as file:
        file.write('torn {"at": 1}\n7\n{"rung": "raw", "reply": "x", "at": "soon"}\n')

    assert mailbox.left_to_a_person(LONG_AGO) == {"mailbox/chat": 3, "mailbox/mail": 1}
    assert mailbox.left_to_a_person(datetime.now(UTC) + timedelta(hours=1)) == {}
    (box / "chat" / "c2.jsonl").unlink()
    assert mailbox.left_to_a_person(LONG_AGO)["mailbox/chat"] == 2


def test_the_rules_of_the_responder_leave_a_question_to_a_person_and_thanks_not() -> None:
    assert mailbox.TO_A_PERSON in responder.by_rules("It is broken").reply
    assert mailbox.TO_A_PERSON in responder.by_rules("What now?").reply
    assert mailbox.TO_A_PERSON not in responder.by_rules("thanks!").reply
