"""`python -m deploy.data_takeover`: move the data of an earlier version from state/, beside the code, to var/.

`make up` runs it before anything opens STATE_DIR. It moves nothing if STATE_DIR names another folder, overwrites nothing,
and continues an earlier run that was interrupted.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import data_dir
import settings
from data_dir import DATA_FOLDERS, DEFAULT_STATE_DIR, OLD_STATE_DIR, UNFINISHED_MOVE
from settings import Settings, SettingsError
from state import private, terminal
from state.files import PATIENCE, is_locked, lock_file, sync_folder, write_atomic


class TakeoverError(RuntimeError):
    """Raised when the old data cannot be moved now; names the obstacle and what to do."""


def main() -> int:
    """Move the data if there is any to move, and print what was moved; return the exit code."""
    try:
        moved = take_over(settings.read(settings.environment()))
    except (SettingsError, TakeoverError) as error:
        print(f"gatehouse: {terminal.lines(error)}", file=sys.stderr)
        return 1
    if moved:
        print(f"gatehouse: {terminal.lines(moved)}")
    return 0


def take_over(chosen: Settings) -> str:
    """Move the data of an earlier version to the default STATE_DIR.

    Args:
        chosen: The settings; nothing is moved if they name another STATE_DIR.

    Returns:
        One sentence about what was moved; "" if nothing was.

    Raises:
        TakeoverError: If both folders hold data, if a process still uses one of them, or if the disk refuses.
        SettingsError: If a folder cannot be read.

    """
    if chosen.state_dir != DEFAULT_STATE_DIR or not (_old_data() or UNFINISHED_MOVE.exists()):
        return ""
    try:
        # A second run waits, and then has nothing to do.
        with lock_file(OLD_STATE_DIR, wait=PATIENCE, flags=os.O_RDONLY | os.O_DIRECTORY):
            return _move_all()
    except OSError as error:
        raise TakeoverError(
            f"the data in {OLD_STATE_DIR} cannot be moved to {DEFAULT_STATE_DIR}: {error.filename or ''}: "
            f"{error.strerror}; correct that and run `make up` again, or set STATE_DIR to the folder that holds the data"
        ) from error


def _old_data() -> list[str]:
    return [name for name in DATA_FOLDERS if data_dir.holds_data(OLD_STATE_DIR / name)]


def _move_all() -> str:
    remaining = _old_data()
    names = list(dict.fromkeys([*_interrupted(), *remaining]))
    if not names:
        return ""  # another run moved the data while this one waited
    _check_target_is_free(remaining)
    _check_unused()
    private.folder(DEFAULT_STATE_DIR)
    sync_folder(DEFAULT_STATE_DIR.parent)
    write_atomic(UNFINISHED_MOVE, "\n".join(names).encode())
    for name in remaining:
        _move(OLD_STATE_DIR / name, DEFAULT_STATE_DIR / name)
    UNFINISHED_MOVE.unlink()
    sync_folder(DEFAULT_STATE_DIR)
    return f"moved the data ({', '.join(names)}) from {OLD_STATE_DIR} to {DEFAULT_STATE_DIR}, the default STATE_DIR of this version"


def _interrupted() -> list[str]:
    """Return the folders that an interrupted run was moving."""
    try:
        return UNFINISHED_MOVE.read_text().split()
    except FileNotFoundError:
        return []


def _check_target_is_free(names: list[str]) -> None:
    """Raise TakeoverError if the new folder holds data that no earlier run moved there."""
    conflicts = [name for name in names if name not in _interrupted() and data_dir.holds_data(DEFAULT_STATE_DIR / name)]
    if conflicts:
        raise TakeoverError(
            f"both {OLD_STATE_DIR} and {DEFAULT_STATE_DIR} hold data ({', '.join(conflicts)}), and neither is overwritten; "
            f"keep the right one in {DEFAULT_STATE_DIR}, move the other one elsewhere, and run `make up` again"
        )


def _check_unused() -> None:
    """Raise TakeoverError if a process uses the old or the new folder."""
    for folder in (OLD_STATE_DIR, DEFAULT_STATE_DIR):
        locks = [folder / "run" / "up.lock", *sorted((folder / "run" / "owners").glob("*.lock"))]
        users = [f"{lock} is locked by a running process" for lock in locks if lock.exists() and is_locked(lock)]
        server = data_dir.embedded_socket(folder)
        if _listens(server):
            users.append(f"a Redis server listens at {server}")
        if users:
            raise TakeoverError(
                f"the data in {OLD_STATE_DIR} cannot be moved to {DEFAULT_STATE_DIR} while it is in use: {users[0]}; "
                f"stop that process, and run `make up` again"
            )


def _listens(path: Path) -> bool:
    """Return whether a process accepts connections at this Unix socket, even a server that still loads its data."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def _move(source: Path, target: Path) -> None:
    """Move a file or a folder as a whole; from a folder that holds code as well, move only the data."""
    if source.is_dir() and not source.is_symlink() and _holds_code(source):
        private.folder(target)
        for entry in sorted(source.iterdir()):
            if not data_dir.is_code(entry.name) and (not entry.is_dir() or data_dir.holds_data(entry)):
                _move(entry, target / entry.name)
        return
    _remove_empty(target)
    if os.path.lexists(target):
        raise TakeoverError(
            f"both {source} and {target} exist, and neither is overwritten; keep the right one as {target}, "
            f"move the other one elsewhere, and run `make up` again"
        )
    source.rename(target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def _holds_code(folder: Path) -> bool:
    return any(data_dir.is_code(path.name) for path in folder.rglob("*"))


def _remove_empty(folder: Path) -> None:
    """Remove the empty folders of a tree; everything else stays, with the folders above it."""
    for path, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(path).rmdir()


if __name__ == "__main__":
    sys.exit(main())
