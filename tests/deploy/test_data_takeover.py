"""`python -m deploy.data_takeover`, run for real in a copy of the code with the data of an earlier version beside it."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.tools import ROOT

OLD = {
    "journal/2026-10.jsonl": "october",
    "journal/2026-11.jsonl": "november",
    "agents/publisher.json": "publisher",
    "agents/writer.json": "writer",
    "mailbox/chat/c1.jsonl": "words",
    "secrets/status-links": "secret",
    "run/redis/appendonlydir/1.aof": "ledger",
}
#: What the folders of the code will hold where the data was.
CODE = ("agents/__init__.py", "agents/facts.py", "journal/__init__.py", "journal/__pycache__/records.pyc")
#: Exits without a word at the Nth rename of a data file or folder.
CRASH = """
import os, sys
from pathlib import Path
left, rename = int(sys.argv.pop()), Path.rename
def counted(source, target):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    return rename(source, target)
Path.rename = counted
from deploy.data_takeover import main
sys.exit(main())
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a copy of the code that the takeover needs, without data."""
    for part in ("server_urls", "state", "deploy"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "*.json*"))
    for file in ("settings.py", "setting_values.py", "api_token.py", "data_dir.py"):
        shutil.copy(ROOT / file, tmp_path)
    return tmp_path


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        for missing in [above for above in reversed(file.parents) if not above.exists()]:
            missing.mkdir(0o700)
        file.write_text(text)
        file.chmod(0o600)


def put_code(root: Path) -> None:
    put(root / "state", dict.fromkeys(CODE, "code"))


def data_in(folder: Path) -> dict[str, str]:
    """Return every file of the data folders, and its text; code does not count."""
    found = [file for name in ("journal", "agents", "mailbox", "secrets", "run") for file in (folder / name).rglob("*")]
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in found
        if file.is_file() and file.suffix not in {".py", ".pyc", ".sql"} and file.name != "up.lock"
    }


def python(root: Path, *args: str, **given: str) -> subprocess.CompletedProcess[str]:
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", **given}
    return subprocess.run([sys.executable, *args], cwd=root, env=own, capture_output=True, text=True, check=False)


def take_over(root: Path, **given: str) -> subprocess.CompletedProcess[str]:
    return python(root, "-m", "deploy.data_takeover", **given)


def settings_of(root: Path, **given: str) -> subprocess.CompletedProcess[str]:
    return python(root, "-c", "import settings; print(settings.current().state_dir)", **given)


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (1, 1) == (done.returncode, len(done.stderr.splitlines())), done.stderr
    for word in words:
        assert word in done.stderr


def test_it_moves_the_data_once_keeps_its_modes_and_says_so_in_one_line(root: Path) -> None:
    put(root / "state", OLD)
    put_code(root)

    first, second = take_over(root), take_over(root)

    assert (first.returncode, len(first.stdout.splitlines()), second.stdout) == (0, 1, ""), first.stderr
    for word in ("journal, agents, mailbox, secrets, run", str(root / "state"), str(root / "var")):
        assert word in first.stdout
    assert data_in(root / "var") == OLD
    assert data_in(root / "state") == {}
    assert all((root / "state" / name).exists() for name in CODE)
    assert {stat.S_IMODE((root / "var" / name).stat().st_mode) for name in OLD} == {0o600}
    assert {stat.S_IMODE((root / "var" / name).parent.stat().st_mode) for name in OLD} == {0o700}


def test_a_folder_that_holds_only_code_is_not_data(root: Path) -> None:
    put_code(root)

    done = take_over(root)

    assert (done.returncode, done.stdout) == (0, "")
    assert not (root / "var").exists()
    assert settings_of(root).stdout.strip() == str(root / "var")


def test_it_moves_nothing_if_state_dir_names_another_folder(root: Path) -> None:
    put(root / "state", OLD)

    done = take_over(root, STATE_DIR="state")

    assert (done.returncode, done.stdout) == (0, "")
    assert data_in(root / "state") == OLD
    assert settings_of(root, STATE_DIR="state").stdout.strip() == str(root / "state")


def test_it_refuses_if_both_places_hold_data_and_touches_neither(root: Path) -> None:
    put(root / "state", OLD)
    put(root / "var", {"journal/2026-11.jsonl": "another"})

    done = take_over(root)

    assert_refused(done, "hold data (journal)", str(root / "state"), str(root / "var"), "run `make up` again")
    assert data_in(root / "state") == OLD
    assert data_in(root / "var") == {"journal/2026-11.jsonl": "another"}


def test_empty_folders_in_the_new_place_are_not_in_the_way(root: Path) -> None:
    put(root / "state", OLD)
    (root / "var" / "run" / "owners").mkdir(parents=True)

    assert take_over(root).returncode == 0
    assert data_in(root / "var") == OLD


@pytest.mark.parametrize("lock", ["state/run/up.lock", "state/run/owners/host-1-ab.lock", "var/run/up.lock"])
def test_it_refuses_while_a_process_holds_a_lock(root: Path, lock: str) -> None:
    put(root / "state", {name: text for name, text in OLD.items() if not name.startswith("run")})
    put(root, {lock: "123"})

    with (root / lock).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = take_over(root)

    assert_refused(refused, lock, "stop that process")
    assert not (root / "var" / "journal").exists()
    if lock.startswith("state"):
        assert take_over(root).returncode == 0


def test_it_refuses_while_the_old_embedded_server_listens(root: Path) -> None:
    put(root / "state", OLD)
    where = python(root, "-c", "import data_dir; print(data_dir.embedded_socket(data_dir.OLD_STATE_DIR))")
    path = Path(where.stdout.strip())
    path.parent.mkdir(parents=True, exist_ok=True)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        refused = take_over(root)
    path.unlink()

    assert_refused(refused, "a Redis server listens at", "stop that process")
    assert data_in(root / "state") == OLD


@pytest.mark.slow
@pytest.mark.parametrize("with_code", [False, True])
@pytest.mark.parametrize("renames", range(7))
def test_a_move_that_was_cut_off_is_completed_by_the_next_run(root: Path, renames: int, with_code: bool) -> None:
    put(root / "state", OLD)
    if with_code:
        put_code(root)

    crashed = python(root, "-c", CRASH, str(renames))
    between = settings_of(root)
    completed = take_over(root)

    if crashed.returncode:
        assert crashed.returncode == 9, crashed.stderr
        assert "run `make up`" in between.stderr
        assert "moved the data" in completed.stdout
    assert completed.returncode == 0, completed.stderr
    assert data_in(root / "var") == OLD
    assert data_in(root / "state") == {}
    assert settings_of(root).stdout.strip() == str(root / "var")


def test_a_file_that_appeared_after_a_cut_is_not_overwritten(root: Path) -> None:
    put(root / "state", OLD)
    put_code(root)
    assert python(root, "-c", CRASH, "1").returncode == 9
    put(root / "var", {"journal/2026-11.jsonl": "another"})

    assert_refused(take_over(root), "journal/2026-11.jsonl", "neither is overwritten")
    assert (root / "var/journal/2026-11.jsonl").read_text() == "another"
    assert (root / "state/journal/2026-11.jsonl").read_text() == "november"


def test_no_process_begins_anew_while_old_data_is_not_moved(root: Path) -> None:
    put(root / "state", {"journal/2026-11.jsonl": "november"})

    done = settings_of(root)

    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert "SettingsError" in said
    for word in (str(root / "state"), "(journal)", str(root / "var"), "run `make up`", "move these folders"):
        assert word in said
    assert not (root / "var").exists()
