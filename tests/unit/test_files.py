"""The lock of a file: one holder at a time, also between threads, and none once its holder is gone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from state.files import is_locked, lock_file, open_locked


def test_a_locked_file_is_refused_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / ".lock"

    with lock_file(path, wait=0):
        assert is_locked(path)
        with pytest.raises(BlockingIOError):
            open_locked(path, wait=0)
        with pytest.raises(BlockingIOError, match=r"another process has held this lock for 0\.1 s: continue or end it"):
            open_locked(path, wait=0.1)

    assert not is_locked(path)
    os.close(open_locked(path, wait=0))


def test_a_new_lock_file_is_for_its_owner_alone_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / ".lock"

    with lock_file(path, wait=0) as descriptor:
        os.pwrite(descriptor, b"41", 0)
    with lock_file(path, wait=0) as descriptor:
        assert os.pread(descriptor, 10, 0) == b"41"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_not_there_is_not_said_to_be_free(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        is_locked(tmp_path / ".lock")
