"""Folders and secrets that only their owner may read.

The agents' state, the journal, the mailbox and the drafts hold what people wrote; whoever can write there decides what is
sent. A folder of an earlier version that others may enter is closed; one that belongs to somebody else is refused.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

import settings
from state.files import FILE

#: The mode of a folder for its owner alone.
FOLDER = 0o700

#: Characters of a secret: 256 random bits.
_BYTES = 32
#: A file with a shorter text was not written by this module.
_SHORTEST = 16


class NotPrivate(PermissionError):
    """Raised when a folder or a secret belongs to another user, or when others may write it; says what to change."""


def folder(path: Path) -> Path:
    """Make `path` with every missing folder above it, for this user only; answers `path`.

    Raises NotPrivate if it belongs to another user, and OSError if it cannot be made.
    """
    missing = [path, *(above for above in path.parents if not above.exists())]
    for each in reversed(missing):
        with suppress(FileExistsError):
            each.mkdir(FOLDER)
    about = path.stat()
    if not stat.S_ISDIR(about.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    _check_owner(path, about)
    if is_open(about.st_mode):
        path.chmod(stat.S_IMODE(about.st_mode) & FOLDER)
    return path


def is_open(mode: int) -> bool:
    """Whether users other than the owner may read or write what has this mode."""
    return bool(stat.S_IMODE(mode) & 0o077)


def secret(name: str) -> str:
    """The random text in `STATE_DIR/secrets/NAME`, made at the first use; all processes of an installation share it.

    Raises NotPrivate if others may have written it.
    """
    path = folder(settings.current().secrets_dir) / name
    try:
        return _read(path)
    except FileNotFoundError:
        _make(path, secrets.token_urlsafe(_BYTES))
    return _read(path)


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor) as file:
        about = os.fstat(descriptor)
        _check_owner(path, about)
        if is_open(about.st_mode):
            os.fchmod(descriptor, FILE)
        text = file.read().strip()
    if len(text) < _SHORTEST:
        raise NotPrivate(f"{path} holds no secret; remove it, and a new one is made")
    return text


def _make(path: Path, text: str) -> None:
    """Write it under another name first: another process sees all of it or nothing, and the first one wins."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        unfinished.unlink()


def _check_owner(path: Path, about: os.stat_result) -> None:
    """Root may look at everybody's; whom anybody else trusts is himself."""
    mine = os.geteuid()
    if mine not in {0, about.st_uid}:
        raise NotPrivate(
            f"{path} belongs to another user (uid {about.st_uid}), who could change what Gatehouse relies on; "
            f"give it to this user: chown {mine} {path}"
        )
