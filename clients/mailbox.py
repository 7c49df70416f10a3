"""The local mailbox: the responder's replies, one readable file per conversation.

`STATE_DIR/mailbox/CHANNEL/CONVERSATION.jsonl` has one JSON object per line and reply, oldest first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

import settings
from gatekeeper import NotApplied, Rung
from state import private, terminal
from state.files import PATIENCE, open_locked, sync_folder

#: Words of a reply that leaves its message to a person.
TO_A_PERSON = "a person"

_PLAIN = re.compile(r"[a-z0-9_-]{1,64}")


class Reply(BaseModel):
    """The reply to one message, together with that message."""

    model_config = ConfigDict(frozen=True)

    channel: str
    conversation: str
    message_id: str
    sender: str
    message: str
    reply: str
    rung: Rung
    by: str


class Delivered(BaseModel):
    """A delivered reply: when, in which file (relative to STATE_DIR), and how it was made."""

    model_config = ConfigDict(frozen=True)

    delivered_at: datetime
    file: str
    rung: Rung
    by: str


def deliver(reply: Reply) -> Delivered:
    """Append a reply to its conversation, unless the message has one already.

    Raises:
        NotApplied: the file cannot be opened or written; nothing of the reply is left in it.

    """
    file = _file(reply.channel, reply.conversation)
    with _open_exclusive(file) as mailbox:
        line = _find_line(mailbox, reply.message_id)
        if line is None:
            line = {"at": datetime.now(UTC).isoformat(), **reply.model_dump(mode="json")}
            _append(mailbox, line)
            sync_folder(file.parent)
    return _delivered(file, line)


def find(reply: Reply) -> Delivered | None:
    """Return the reply to the same message if its conversation has one."""
    file = _file(reply.channel, reply.conversation)
    if not file.exists():
        return None
    with _open_exclusive(file) as mailbox:
        line = _find_line(mailbox, reply.message_id)
    return _delivered(file, line) if line else None


def left_to_a_person(since: datetime) -> dict[str, int]:
    """Count the messages since a time whose reply leaves them to a person, because no model answered them.

    A person who has dealt with a conversation moves its file away.

    Returns:
        The number by folder of the mailbox, relative to STATE_DIR.

    """
    found: Counter[str] = Counter()
    state_dir = settings.current().state_dir
    for file in sorted((state_dir / "mailbox").glob("*/*.jsonl")):
        with contextlib.suppress(FileNotFoundError):  # a person has just moved it away
            if file.stat().st_mtime >= since.timestamp():
                lines = file.read_bytes().splitlines()
                found[str(file.parent.relative_to(state_dir))] += sum(_is_left(line, since) for line in lines)
    return dict(+found)


def _is_left(text: bytes, since: datetime) -> bool:
    with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
        line = json.loads(text)
        is_open = line["rung"] == Rung.RAW or TO_A_PERSON in line["reply"]
        return is_open and datetime.fromisoformat(line["at"]) >= since
    return False


def _delivered(file: Path, line: dict[str, Any]) -> Delivered:
    where = str(file.relative_to(settings.current().state_dir))
    return Delivered(delivered_at=line["at"], file=where, rung=line["rung"], by=line["by"])


def _file(channel: str, conversation: str) -> Path:
    return settings.current().state_dir / "mailbox" / _safe(channel) / f"{_safe(conversation)}.jsonl"


def _safe(name: str) -> str:
    """Return a safe file name: the name itself, or its safe characters and a digest of the whole name."""
    if _PLAIN.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    return "~".join([re.sub(r"[^a-z0-9_-]+", "-", name.lower())[:40].strip("-"), digest])


@contextlib.contextmanager
def _open_exclusive(file: Path) -> Iterator[int]:
    """Open the file for this user only, because it holds private messages, and yield its descriptor while its lock is held.

    Raises:
        NotApplied: the file cannot be opened; a symbolic link is not followed.

    """
    try:
        for folder in (file.parent.parent, file.parent):
            private.folder(folder)
        fd = open_locked(file, wait=PATIENCE, flags=os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
    except OSError as error:
        raise NotApplied(f"the mailbox cannot be opened: {error}") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _find_line(fd: int, message_id: str) -> dict[str, Any] | None:
    """Return the line that replies to a message; a line that is not valid JSON, torn by a crash, is skipped."""
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        for text in file:
            with contextlib.suppress(ValueError, RecursionError):
                line = json.loads(text)
                if isinstance(line, dict) and line.get("message_id") == message_id and "at" in line:
                    return line
    return None


def _append(fd: int, line: dict[str, Any]) -> None:
    """Append one line, on disk when this returns; after a torn line, begin a new one. Raises NotApplied."""
    size = os.fstat(fd).st_size
    torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
    text = json.dumps(line, ensure_ascii=False).encode(errors="replace").decode()
    data = b"\n" * torn + terminal.json_text(text).encode() + b"\n"
    try:
        _write(fd, data)
    except OSError as error:
        os.ftruncate(fd, size)
        raise NotApplied(f"the mailbox was not written: {error}") from error


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
    os.fsync(fd)
