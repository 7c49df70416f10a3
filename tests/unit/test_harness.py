"""The parts of the harness that work without the product."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.harness import GaveUp, Install, Process, Valkey, until
from tests.harness.install import ROOT
from tests.harness.ports import free_ports
from tests.torture import shim

#: Holds a lock for as long as it lives, and says when it has it.
CHILD = """
import fcntl, signal
lock = open("lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print('{"event": "worker ready", "pool": "threads"}', flush=True)
signal.pause()
"""


@pytest.fixture
def env() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


def is_free(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def test_until_returns_the_first_true_value() -> None:
    values = iter([0, "", "found"])

    assert until(lambda: next(values)) == "found"


def test_until_says_what_it_waited_for_and_what_it_saw() -> None:
    with pytest.raises(GaveUp, match=r"waited 0\.3 s for the moon; last seen: 0"):
        until(lambda: 0, deadline=0.05, what="the moon")


def test_until_takes_an_exception_for_not_yet_and_shows_the_last(tmp_path: Path) -> None:
    with pytest.raises(GaveUp, match="FileNotFoundError"):
        until((tmp_path / "never").read_text, deadline=0.05)


def test_a_process_shows_its_log_lines_and_dies_with_all_its_children(tmp_path: Path, env: dict[str, str]) -> None:
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {CHILD!r}]).wait()"
    process = Process("parent", [sys.executable, "-c", parent], env, tmp_path, tmp_path / "log")
    assert process.wait_for("worker ready") == {"event": "worker ready", "pool": "threads"}

    with (tmp_path / "lock").open("w") as lock:
        assert not is_free(lock)
        process.kill9()

        assert not process.alive
        until(lambda: is_free(lock), what="the child's lock to be free")


def test_a_process_that_ends_early_fails_at_once_with_its_output(tmp_path: Path, env: dict[str, str]) -> None:
    process = Process("short", [sys.executable, "-c", "print('so long')"], env, tmp_path, tmp_path / "log")

    with pytest.raises(GaveUp, match=r"(?s)short ended with 0 before it logged 'worker ready'.*so long"):
        process.wait_for("worker ready", deadline=30)


def test_a_killed_server_with_aof_comes_back_with_its_data(fragile_valkey: Valkey) -> None:
    fragile_valkey.client().set("kept", "yes")

    fragile_valkey.restart("kill9")

    assert fragile_valkey.client().get("kept") == "yes"


@pytest.mark.skipif(bool(shim.missing()), reason=str(shim.missing()))
@pytest.mark.parametrize("how", ["killed", "paused and killed"])
def test_a_killed_server_has_kept_all_that_it_answered_although_its_disk_is_slow(tmp_path: Path, how: str) -> None:
    disk = shim.Shim(tmp_path, "store")
    server = Valkey(aof=True, env=disk.env).start()
    disk.slow_fsync(1)
    try:
        for number in range(1500):  # for more than the second between two fsyncs
            server.client().set(f"key:{number}", "yes")
            time.sleep(0.001)
        if how == "paused and killed":
            server.pause()
        server.kill9()
        disk.slow_fsync(0)
        server.start()

        assert server.client().dbsize() == 1500
    finally:
        server.close()


def test_a_paused_server_answers_after_it_resumes(fragile_valkey: Valkey) -> None:
    impatient = redis.Redis(
        unix_socket_path=str(fragile_valkey.socket), socket_timeout=0.1, retry=Retry(NoBackoff(), 0)
    )
    fragile_valkey.pause()
    with pytest.raises(redis.TimeoutError):
        impatient.ping()
    impatient.close()

    fragile_valkey.resume()

    assert fragile_valkey.client().ping()


def test_a_stopped_server_refuses_until_it_starts(fragile_valkey: Valkey) -> None:
    fragile_valkey.stop()
    with pytest.raises(redis.ConnectionError):
        fragile_valkey.client().ping()

    fragile_valkey.start()

    assert fragile_valkey.client().ping()


def test_the_developers_own_settings_do_not_reach_an_installation(
    install: Install, monkeypatch: pytest.MonkeyPatch, valkey: Valkey, tmp_path: Path
) -> None:
    monkeypatch.setenv("MASTODON_TOKEN", "a real one")

    other = Install(tmp_path / "other", valkey.url)
    other.close()

    assert "MASTODON_TOKEN" not in other.env
    assert other.state_dir != install.state_dir


def test_no_two_processes_give_out_the_same_port() -> None:
    code = "from tests.harness.ports import free_ports; print(*free_ports(20), flush=True); input()"
    command = [sys.executable, "-c", code]
    others = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]
    try:
        theirs = [set((other.stdout or sys.stdin).readline().split()) for other in others]
        mine = set(map(str, free_ports(20)))
    finally:
        for other in others:
            other.communicate("")

    assert [len(each) for each in (mine, *theirs)] == [20, 20, 20]
    assert len(mine.union(*theirs)) == 60
