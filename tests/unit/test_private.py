"""Folders and secrets of an installation belong to its user alone, are created once, and are refused if another user owns them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import data_dir
import settings
from state import private
from state.private import NotPrivate
from tests.harness import forks

#: The user of a process without root's rights.
OTHER_USER = 54321


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    chosen = replace(settings.current(), state_dir=tmp_path / "state")
    monkeypatch.setattr(settings, "current", lambda: chosen)
    return chosen.state_dir


@pytest.fixture
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def world() -> Iterator[Path]:
    """Return a folder that every user may enter; pytest's own folders are private."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("_open_umask")
def test_a_folder_and_what_is_missing_above_it_are_for_their_owner_alone(tmp_path: Path) -> None:
    made = private.folder(tmp_path / "a" / "b" / "c")

    assert [mode(path) for path in (made, made.parent, made.parent.parent)] == [0o700] * 3


def test_a_folder_of_an_earlier_version_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.mkdir()
    path.chmod(0o777)

    assert mode(private.folder(path)) == 0o700


@pytest.mark.usefixtures("_open_umask")
def test_a_secret_is_made_once_and_for_its_owner_alone(state_dir: Path) -> None:
    first, again, other = private.secret("one"), private.secret("one"), private.secret("two")

    assert first == again != other
    assert len(first) >= 32
    assert mode(state_dir / "secrets" / "one") == 0o600
    assert sorted(path.name for path in (state_dir / "secrets").iterdir()) == ["one", "two"]


def test_many_who_ask_at_once_get_the_same_secret() -> None:
    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(lambda _: private.secret("shared"), range(200)))) == 1


def test_a_secret_that_others_could_read_is_closed(state_dir: Path) -> None:
    private.secret("one")
    (state_dir / "secrets" / "one").chmod(0o644)

    private.secret("one")

    assert mode(state_dir / "secrets" / "one") == 0o600


@pytest.mark.parametrize("text", ["", "short\n"])
def test_a_file_without_a_secret_is_refused(state_dir: Path, text: str) -> None:
    private.folder(state_dir / "secrets")
    (state_dir / "secrets" / "one").write_text(text)

    with pytest.raises(NotPrivate, match="holds no secret"):
        private.secret("one")


def test_a_link_in_the_place_of_a_secret_is_not_followed(state_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("a secret of somebody else, long enough")
    private.folder(state_dir / "secrets")
    (state_dir / "secrets" / "one").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="one"):
        private.secret("one")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_what_belongs_to_another_user_is_refused(world: Path) -> None:
    path = world / "theirs"
    path.mkdir()
    path.chmod(0o777)
    code = f"""
import os, pathlib
from state import private
os.setuid({OTHER_USER})
try:
    private.folder(pathlib.Path({str(path)!r}))
except private.NotPrivate as error:
    print(error)
"""
    done = forks.run([sys.executable, "-c", code], cwd=settings.ROOT)

    assert f"chown {OTHER_USER} {path}" in done.stdout


# The folder of the embedded server's socket


@pytest.fixture
def long_state_dir(tmp_path: Path) -> Iterator[Path]:
    """Return a STATE_DIR whose socket path would be too long, without a folder for the socket yet."""
    state_dir = tmp_path / ("deep" * 25)
    place = data_dir.embedded_socket(state_dir).parent
    assert place.parent == data_dir.SHORT_PLACE
    yield state_dir
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.exists():
        os.chown(place, os.getuid(), -1)
        place.rmdir()


def process(state_dir: Path) -> subprocess.CompletedProcess[str]:
    """Start a process that talks to the embedded server, as every process does that loads the application."""
    env = {**os.environ, "STATE_DIR": str(state_dir), "REDIS_URL": "", "BROKER_URL": ""}
    command = [sys.executable, "-c", "import workers"]
    return forks.run(command, cwd=settings.ROOT, env=env)


def test_the_short_folder_is_made_by_the_first_who_needs_it_and_closed(long_state_dir: Path) -> None:
    done = process(long_state_dir)

    assert done.returncode == 0, done.stderr
    assert mode(data_dir.embedded_socket(long_state_dir).parent) == 0o700


def test_a_short_folder_of_ours_that_was_open_is_closed(long_state_dir: Path) -> None:
    place = data_dir.embedded_socket(long_state_dir).parent
    place.mkdir()
    place.chmod(0o777)

    assert process(long_state_dir).returncode == 0
    assert mode(place) == 0o700


@pytest.mark.parametrize("made", ["link", "file", "folder of another user"])
def test_a_short_folder_that_somebody_else_made_is_refused_before_anything_is_sent(
    long_state_dir: Path, tmp_path: Path, made: str
) -> None:
    place = data_dir.embedded_socket(long_state_dir).parent
    match made:
        case "link":
            place.symlink_to(tmp_path)
        case "file":
            place.touch()
        case _ if os.getuid() == 0:
            place.mkdir(0o700)
            os.chown(place, OTHER_USER, -1)
        case _:
            pytest.skip("only root can give a folder away")

    done = process(long_state_dir)

    assert done.returncode == 1
    assert "is not a folder of yours" in done.stderr
    assert len(done.stderr.splitlines()) == 1
