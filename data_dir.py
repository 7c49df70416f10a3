"""The folder of data, STATE_DIR: its default, the data of earlier versions, and the socket of the embedded server."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from setting_values import ROOT, SettingsError

#: The folder of data if STATE_DIR is not set.
DEFAULT_STATE_DIR = ROOT / "var"
#: The folder of data in earlier versions, which also holds code.
OLD_STATE_DIR = ROOT / "state"
#: The folders of STATE_DIR, in the order in which `make up` moves them from the old place: the journal first.
DATA_FOLDERS = ("journal", "agents", "mailbox", "secrets", "run")
#: Names the folders that are being moved; an interrupted move leaves this file behind.
UNFINISHED_MOVE = DEFAULT_STATE_DIR / ".data-takeover"

#: The kernel refuses longer Unix socket paths (108 bytes with the closing zero).
MAX_SOCKET_PATH = 107
#: The folder of a socket whose path below STATE_DIR is longer than that, in a folder of this user alone.
SHORT_PLACE = Path("/tmp")  # noqa: S108 - check_socket_folder checks the owner of the folder


def embedded_socket(state_dir: Path) -> Path:
    """Return where the embedded server of `state_dir` listens; the same path in every process."""
    beside = state_dir / "run" / "redis.sock"
    if len(os.fsencode(beside)) <= MAX_SOCKET_PATH:
        return beside
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]
    # Not the folder of tempfile: TMPDIR differs between terminals, and all processes must find the same socket.
    return SHORT_PLACE / f"gatehouse-{os.getuid()}-{digest}" / "redis.sock"


def check_data_moved(state_dir: Path) -> None:
    """Raise SettingsError if `make up` has to move data of an earlier version before a process starts a new journal."""
    left = _data_not_moved() if state_dir == DEFAULT_STATE_DIR else []
    if left:
        raise SettingsError(
            f"{OLD_STATE_DIR} still holds this installation's data ({', '.join(left)}), which belongs in "
            f"{DEFAULT_STATE_DIR} now; stop what runs and run `make up`, which moves it, or move these folders yourself"
        )


def _data_not_moved() -> list[str]:
    old = [name for name in DATA_FOLDERS if holds_data(OLD_STATE_DIR / name)]
    if UNFINISHED_MOVE.exists():
        return old
    return [name for name in old if not holds_data(DEFAULT_STATE_DIR / name)]


def holds_data(folder: Path) -> bool:
    """Return whether `folder` holds anything but code and empty folders, at any depth; False if it does not exist.

    Raises:
        SettingsError: the folder cannot be read.

    """
    try:
        for _, folders, files in os.walk(folder, onerror=_raise_unless_missing):
            folders[:] = [name for name in folders if not is_code(name)]
            if any(not is_code(name) for name in files):
                return True
    except OSError as error:
        raise SettingsError(f"{error.filename} cannot be read ({error.strerror}); let this user read it") from None
    return False


def is_code(name: str) -> bool:
    """Return whether a file or folder of this name belongs to a Python package, and is not data."""
    return name.endswith((".py", ".pyi", ".pyc", ".lua", ".lua.inc", ".sql")) or name in {"__pycache__", "py.typed"}


def check_journal_place(url: str, journal_dir: Path) -> None:
    """Raise SettingsError if JOURNAL_URL needs a package that is missing, or is not set and the journal is in a database."""
    if url and find_spec("psycopg") is None:
        raise SettingsError(
            "JOURNAL_URL needs psycopg, which is not installed; run .venv/bin/pip install '.[postgres]', or remove JOURNAL_URL"
        )
    copy = next(journal_dir.glob("shared-*"), None)
    if copy and not url:
        raise SettingsError(
            f"JOURNAL_URL is not set, but the journal of this installation is in a database, of which {copy} is a copy; "
            "set JOURNAL_URL, or see docs/shared-journal.md for the way back to files"
        )


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def check_socket_folder(socket: Path) -> None:
    """Close the socket's folder to other users, and raise SettingsError if one of them could have put a server there.

    A folder below /tmp is created at once, before another user creates one of that name, which can be guessed.
    """
    folder, mine = socket.parent, os.geteuid()
    try:
        if folder.parent == SHORT_PLACE:
            with suppress(FileExistsError):
                folder.mkdir(0o700)
        about = folder.lstat()
    except FileNotFoundError:
        return  # below STATE_DIR, and not created yet
    except OSError as error:
        raise SettingsError(f"{folder} cannot be used ({error.strerror}); choose a shorter STATE_DIR") from error
    if not stat.S_ISDIR(about.st_mode) or (about.st_uid != mine and (mine != 0 or folder.parent == SHORT_PLACE)):
        raise SettingsError(
            f"{folder} is not a folder of yours, so the Redis server in it may belong to another user; "
            "remove it, or choose another STATE_DIR (a shorter one needs no folder below /tmp)"
        )
    if stat.S_IMODE(about.st_mode) & 0o077:
        folder.chmod(0o700)
