"""`python -m deploy.data_takeover`: moves the data of an earlier version, which lay beside the code in state/, to var/.

`make up` runs it before anything opens STATE_DIR. It moves nothing if STATE_DIR names another folder, overwrites nothing,
and goes on where an earlier run was cut off.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import settings
from settings import DATA_FOLDERS, DEFAULT_STATE_DIR, OLD_STATE_DIR, UNFINISHED_MOVE, Settings, SettingsError
from state import private, terminal
from state.files import is_locked, open_locked, sync_folder, write_atomic


class TakeoverError(RuntimeError):
    """Raised when the old data cannot be moved now; says what is in the way and what to do."""


def main() -> int:
    """Move what is to be moved, and say so; answers the exit code."""
    try:
        moved = take_over(settings.read(settings.environment()))
    except (SettingsError, TakeoverError) as error:
        print(f"gatehouse: {terminal.lines(error)}", file=sys.stderr)
        return 1
    if moved:
        print(f"gatehouse: {terminal.lines(moved)}")
    return 0


def take_over(chosen: Settings) -> str:
    """Move data of an earlier version to the default STATE_DIR, if that is the one `chosen`.

    Returns:
        One sentence that tells what was moved, or "" if nothing was.

    Raises:
        TakeoverError: if both places hold data, if a process still uses the old one, or if the disk refuses.
        SettingsError: if a folder cannot be read.
    """
    if chosen.state_dir != DEFAULT_STATE_DIR or not (_old_data() or UNFINISHED_MOVE.exists()):
        return ""
    try:
        with _alone():
            return _move_all()
    except OSError as error:
        raise TakeoverError(
            f"the data in {OLD_STATE_DIR} cannot be moved to {DEFAULT_STATE_DIR}: {error.filename or ''}: "
            f"{error.strerror}; correct that and run `make up` again, or set STATE_DIR to where the data lies"
        ) from error


def _old_data() -> list[str]:
    return [name for name in DATA_FOLDERS if settings.holds_data(OLD_STATE_DIR / name)]


def _move_all() -> str:
    left = _old_data()
    names = list(dict.fromkeys([*_begun(), *left]))
    if not names:
        return ""  # another run moved it while this one waited
    _check_free(left)
    _check_unused()
    private.folder(DEFAULT_STATE_DIR)
    sync_folder(DEFAULT_STATE_DIR.parent)
    write_atomic(UNFINISHED_MOVE, "\n".join(names).encode())
    for name in left:
        _move(OLD_STATE_DIR / name, DEFAULT_STATE_DIR / name)
    UNFINISHED_MOVE.unlink()
    sync_folder(DEFAULT_STATE_DIR)
    return f"moved the data ({', '.join(names)}) from {OLD_STATE_DIR} to {DEFAULT_STATE_DIR}, the default STATE_DIR of this version"


def _begun() -> list[str]:
    """Return the folders that an earlier run, which was cut off, had begun to move."""
    try:
        return UNFINISHED_MOVE.read_text().split()
    except FileNotFoundError:
        return []


def _check_free(names: list[str]) -> None:
    """Raise if the new place holds data of its own, of which no earlier run moved a part."""
    both = [name for name in names if name not in _begun() and settings.holds_data(DEFAULT_STATE_DIR / name)]
    if both:
        raise TakeoverError(
            f"both {OLD_STATE_DIR} and {DEFAULT_STATE_DIR} hold data ({', '.join(both)}), and neither is overwritten; "
            f"keep the right one in {DEFAULT_STATE_DIR}, move the other one elsewhere, and run `make up` again"
        )


def _check_unused() -> None:
    """Raise if a process still works with the old data, or with the new place."""
    for folder in (OLD_STATE_DIR, DEFAULT_STATE_DIR):
        locks = [folder / "run" / "up.lock", *sorted((folder / "run" / "owners").glob("*.lock"))]
        users = [f"{lock} is locked by a process that runs" for lock in locks if lock.exists() and is_locked(lock)]
        server = settings.embedded_socket(folder)
        if _listens(server):
            users.append(f"a Redis server listens at {server}")
        if users:
            raise TakeoverError(
                f"the data in {OLD_STATE_DIR} cannot be moved to {DEFAULT_STATE_DIR} while it is used: {users[0]}; "
                f"stop what runs, and run `make up` again"
            )


def _listens(path: Path) -> bool:
    """Return whether any process accepts connections there, also a server that still loads its data."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def _move(source: Path, target: Path) -> None:
    """Move a file or a folder whole, or entry by entry the data of a folder that holds code as well."""
    if source.is_dir() and not source.is_symlink() and _holds_code(source):
        private.folder(target)
        for entry in sorted(source.iterdir()):
            if not settings.is_code(entry.name) and (not entry.is_dir() or settings.holds_data(entry)):
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
    return any(settings.is_code(path.name) for path in folder.rglob("*"))


def _remove_empty(folder: Path) -> None:
    """Remove a tree of empty folders; anything else in it stays, with the folders above it."""
    for path, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(path).rmdir()


@contextmanager
def _alone() -> Iterator[None]:
    """Hold a lock on the old folder, so that of two runs the second one waits and then finds nothing to do."""
    descriptor = open_locked(OLD_STATE_DIR, flags=os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
