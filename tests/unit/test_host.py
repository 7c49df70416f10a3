"""The name of a host is its own, stays, and is understood in the names of owners of every version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import settings
from state import host
from state.host import UnusableHostName
from state.ledger import owner


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A STATE_DIR of the test's own, and no HOST_NAME."""
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOST_NAME", "")
    settings.current.cache_clear()
    yield tmp_path / "state"
    monkeypatch.undo()
    settings.current.cache_clear()


def file_of(state_dir: Path) -> Path:
    return state_dir / "run" / "host"


def test_a_name_is_drawn_once_and_kept_for_this_user_alone(state_dir: Path) -> None:
    first = host.this_host()
    host._named.cache_clear()

    assert re.fullmatch(r"[A-Za-z0-9_-]+\.[0-9a-f]{6}", first)
    assert host.this_host() == first == file_of(state_dir).read_text().strip()
    assert file_of(state_dir).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file_of(state_dir).parent.iterdir()] == ["host"], "nothing unfinished is left"


def test_two_folders_on_one_machine_are_two_hosts(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = host.this_host()
    monkeypatch.setenv("STATE_DIR", f"{state_dir}2")
    settings.current.cache_clear()

    assert host.mark_of(host.this_host()) != host.mark_of(here)


def test_processes_that_start_at_once_take_one_name(state_dir: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: host._named.__wrapped__(file_of(state_dir), ""), range(32)))

    assert len(names) == 1


def test_a_process_that_comes_second_keeps_the_name_of_the_first(state_dir: Path) -> None:
    host._create(file_of(state_dir))
    first = file_of(state_dir).read_text()

    host._create(file_of(state_dir))

    assert file_of(state_dir).read_text() == first


def test_a_person_may_name_the_host_and_its_mark_stays(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = host.mark_of(host.this_host())
    monkeypatch.setenv("HOST_NAME", "web1")
    settings.current.cache_clear()

    assert host.this_host() == f"web1.{mark}"


def test_a_file_that_holds_something_else_is_refused_with_what_to_do(state_dir: Path) -> None:
    file_of(state_dir).parent.mkdir(parents=True)
    file_of(state_dir).write_text("web1\n")

    with pytest.raises(UnusableHostName, match="remove it, and a new one is made"):
        host.this_host()


@pytest.mark.parametrize("name", ["web 1", "web1.example", "ü", "x" * 64])
def test_a_name_that_owners_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(settings.SettingsError, match=r"HOST_NAME=.* is not the name of a host; write up to 63 letters"):
        settings.read({"HOST_NAME": name})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web-1.3f2a9c-5258-38b082c8/7", "web-1.3f2a9c"),
        ("web-1-5258-38b082c8/7", "web-1"),  # of an earlier version
        ("web-1.3f2a9c-5258-38b082c8", "web-1.3f2a9c"),
        ("dead/1", ""),
        ("", ""),
    ],
)
def test_the_host_of_an_owner_is_read_in_names_of_every_version(name: str, expected: str) -> None:
    assert host.host_of(name) == expected


def test_an_owner_is_named_after_its_host_and_lives_as_long_as_its_process(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "_process", None)
    own = owner.new()

    assert host.host_of(own) == host.this_host()
    assert (owner.is_alive(own), owner.is_dead(own)) == (True, False)
    owner.abandon(own)
    assert (owner.is_alive(own), owner.is_dead(own)) == (False, True)


def test_of_a_process_elsewhere_neither_life_nor_death_is_proven(state_dir: Path) -> None:
    owner.folder().mkdir(parents=True)

    assert (owner.is_alive("far.123456-1-ab/1"), owner.is_dead("far.123456-1-ab/1")) == (False, False)


def test_a_lock_file_of_an_earlier_version_still_proves_a_death(state_dir: Path) -> None:
    owner.folder().mkdir(parents=True)
    (owner.folder() / "vm-5258-38b082c8.lock").touch()

    assert owner.is_dead("vm-5258-38b082c8/3")
