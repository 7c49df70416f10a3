"""Folders and secrets that only this user may read.

The agents' state, the journal, the mailbox and the drafts hold personal data, and a user who can write there controls
what is sent. A folder that other users may enter is closed to them; a folder that belongs to another user is refused.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

import settings
from state.files import FILE, PATIENCE, lock_file, write_atomic

#: The mode of a folder for its owner alone.
FOLDER = 0o700

#: Random bytes of a secret.
_SECRET_BYTES = 32
#: Characters. This module does not write a secret with a shorter text.
_MIN_SECRET = 16


class NotPrivate(PermissionError):
    """Raised when a folder or a secret belongs to another user, or cannot be trusted; the message says what to change."""


def folder(path: Path) -> Path:
    """Create the folder, and every missing folder above it, for this user only.

    Returns:
        The same path.

    Raises:
        NotPrivate: the folder belongs to another user.
        OSError: the folder cannot be created.

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
    """Return whether a file of this mode is open to users other than its owner."""
    return bool(stat.S_IMODE(mode) & 0o077)


def secret(name: str) -> str:
    """Return the random text in `STATE_DIR/secrets/NAME`, which all processes share; the first use creates it.

    Raises:
        NotPrivate: the file belongs to another user, or holds no secret.

    """
    path = folder(settings.current().secrets_dir) / name
    if not path.exists():
        with lock_file(folder(settings.current().run_dir) / "secrets.lock", wait=PATIENCE):
            if not path.exists():  # the first process wins
                write_atomic(path, f"{secrets.token_urlsafe(_SECRET_BYTES)}\n".encode())
    return _read(path)


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor) as file:
        about = os.fstat(descriptor)
        _check_owner(path, about)
        if is_open(about.st_mode):
            os.fchmod(descriptor, FILE)
        text = file.read().strip()
    if len(text) < _MIN_SECRET:
        raise NotPrivate(f"{path} holds no secret; remove the file, and Gatehouse creates a new one")
    return text


def _check_owner(path: Path, about: os.stat_result) -> None:
    """Raise NotPrivate if another user owns the path; root may use the files of every user."""
    mine = os.geteuid()
    if mine not in {0, about.st_uid}:
        raise NotPrivate(
            f"{path} belongs to another user (uid {about.st_uid}), who could change what Gatehouse relies on; "
            f"give it to this user: chown {mine} {path}"
        )
