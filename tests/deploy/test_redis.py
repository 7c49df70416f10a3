"""`python -m deploy.redis`, the server of systemd and of the containers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

import settings
from tests.deploy.tools import ROOT, run


def environment(folder: Path) -> dict[str, str]:
    """Return an environment with a STATE_DIR and without REDIS_URL; an empty value counts as not set."""
    return {"STATE_DIR": str(folder / "state"), "REDIS_URL": "", "BROKER_URL": ""}


def deploy_redis(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "deploy.redis", *arguments, env=env)


def test_the_process_becomes_the_server_with_our_configuration_and_further_options(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.redis", "--maxmemory", "96mb"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment(tmp_path)}, stdout=subprocess.DEVNULL
    ) as process:
        try:
            waited = deploy_redis("--wait", env=environment(tmp_path))
            server = Redis.from_url(settings.read(environment(tmp_path)).redis_url, decode_responses=True)

            assert waited.returncode == 0, waited.stderr
            assert server.info("server")["process_id"] == process.pid
            chosen = {name: server.config_get(name)[name] for name in ("appendonly", "maxmemory-policy", "maxmemory")}
            assert chosen == {"appendonly": "yes", "maxmemory-policy": "noeviction", "maxmemory": str(96 * 1024 * 1024)}
            server.close()
        finally:
            process.terminate()


@pytest.mark.parametrize(("url", "code"), [("", 0), ("redis://127.0.0.1:1/0", 1)])
def test_it_is_wanted_unless_another_server_is_named(tmp_path: Path, url: str, code: int) -> None:
    assert deploy_redis("--wanted", env={**environment(tmp_path), "REDIS_URL": url}).returncode == code


def test_it_is_not_started_beside_another_server(tmp_path: Path) -> None:
    refused = deploy_redis(env={**environment(tmp_path), "REDIS_URL": "redis://127.0.0.1:1/0"})

    assert (1, 1) == (refused.returncode, len(refused.stderr.splitlines()))
    assert not (tmp_path / "state").exists()
