"""deploy/compose.cluster.yaml: its schema accepts it, it runs the Procfile, and what it tells the stores is what they know.

No container was started: there is no container engine here, nor on CI's machine.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import yaml

import settings
from deploy import procfile
from tests.deploy.test_containers import DOCKERFILE, words
from tests.deploy.test_pods import OF_OTHERS, known_settings
from tests.deploy.tools import DEPLOY, ROOT, run, tool
from tests.harness.polling import until
from tests.harness.ports import free_ports
from tests.harness.process import Process
from tests.harness.valkey import ServerMissing, binary

PROCFILE = procfile.read(ROOT / "Procfile")
COMPOSE = DEPLOY / "compose.cluster.yaml"
FILE: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
STORES = {"rabbitmq", "valkey", "postgres"}
SHARED = {"public": "/data/public", "content": "/data/content", "secrets": "/data/state/secrets", "mailbox": "/data/state/mailbox", "mail": "/data/state/mail"}  # fmt: skip


def test_compose_accepts_the_file() -> None:
    done = run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", COMPOSE)

    assert done.returncode == 0, done.stdout


def test_there_is_a_container_for_each_process_and_each_store() -> None:
    assert {*PROCFILE, *STORES} == set(SERVICES)


@pytest.mark.parametrize("name", PROCFILE)
def test_a_container_runs_the_line_of_the_procfile(name: str) -> None:
    assert words(PROCFILE[name]) == words(SERVICES[name]["command"])


@pytest.mark.parametrize("name", PROCFILE)
def test_a_container_knows_each_store_by_a_setting_of_ours(name: str) -> None:
    given = SERVICES[name]["environment"]

    assert set(given) - known_settings() - OF_OTHERS == set()
    for variable, store, port in (
        ("REDIS_URL", "valkey", 6379),
        ("BROKER_URL", "rabbitmq", 5672),
        ("JOURNAL_URL", "postgres", 5432),
    ):
        address = urlsplit(re.sub(r"\$\{[^}]*\}", "secret", given[variable]))
        assert (address.hostname, address.port, address.username) == (store, port, "gatehouse")
        assert set(SERVICES[store]["networks"]) & set(SERVICES[name]["networks"])
    assert all(SERVICES[name]["depends_on"][store]["condition"] == "service_healthy" for store in STORES)


@pytest.mark.parametrize("name", PROCFILE)
def test_the_settings_of_a_container_can_be_read(name: str) -> None:
    given = {key: re.sub(r"\$\{[^}]*\}", "secret", value) for key, value in SERVICES[name]["environment"].items()}

    chosen = settings.read(given)

    assert chosen.broker_url.startswith("amqp://")
    assert chosen.journal_url.startswith("postgresql://")


def test_the_image_has_what_the_journal_needs() -> None:
    """Every package of the lock is in that of the other image too, in the same version, beside PostgreSQL's client."""
    lock = SERVICES["worker"]["build"]["args"]["LOCK"]
    plain, postgres = (
        set(re.findall(r"^([a-z0-9][^\s;\\]*==[^\s;\\]+)", (ROOT / file).read_text(), re.MULTILINE))
        for file in ("deploy/requirements.txt", lock)
    )

    assert plain < postgres
    assert {line.partition("==")[0] for line in postgres - plain} >= {"psycopg", "psycopg-binary"}
    assert "ARG LOCK=deploy/requirements.txt" in DOCKERFILE
    assert "COPY ${LOCK} requirements.txt" in DOCKERFILE


def test_a_container_of_the_single_machine_and_one_of_the_cluster_get_the_same_memory() -> None:
    single = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]

    assert {name: SERVICES[name]["mem_limit"] for name in PROCFILE} == {
        name: single[name]["mem_limit"] for name in PROCFILE
    }


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_needless_privileges(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert not service.get("privileged")
    assert name in STORES or (service["read_only"] is True and "cap_add" not in service)


@pytest.mark.parametrize("name", SERVICES)
def test_no_store_is_reached_from_outside(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    if name in STORES:
        assert "ports" not in SERVICES[name]
        assert SERVICES[name]["networks"] == ["stores"]
    assert FILE["networks"]["stores"]["internal"] is True


def test_no_password_stands_in_the_file() -> None:
    given = re.findall(r"(?:PASSWORD|PASS):\s+(\S.*)|://gatehouse:([^@]+)@", COMPOSE.read_text())

    assert len(given) >= 5
    assert all(re.match(r"\$\{[A-Z]+_PASSWORD:\?", found) for pair in given for found in pair if found)


@pytest.mark.parametrize("name", PROCFILE)
def test_what_all_containers_share_is_in_volumes_and_what_one_needs_is_its_own(name: str) -> None:
    """A folder that is not in the image would belong to root in a new volume, and Gatehouse refuses it."""
    volumes = SERVICES[name]["volumes"]
    made = re.search(r"install -d -o gatehouse (.+?)\n(?! )", DOCKERFILE, re.DOTALL)

    assert made
    assert {*volumes} == {"/data/state", *(f"{volume}:{folder}" for volume, folder in SHARED.items())}
    assert {*SHARED.values(), "/data/state"} <= set(made[1].replace("\\\n", " ").split())
    assert set(SHARED) | STORES == set(FILE["volumes"])


def test_a_server_starts_with_the_command_line_of_the_file(tmp_path: Path) -> None:
    """The embedded server stands for the image's: it reads the same options, and the same file."""
    try:
        server = binary()
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    (port,) = free_ports(1)
    line = [re.sub(r"\$\{[^}]*\}", "secret", word) for word in SERVICES["valkey"]["command"][1:]]
    changes = {"/etc/gatehouse/redis.conf": str(DEPLOY / "redis.conf"), "/data": str(tmp_path)}
    options = [changes.get(word, word) for word in line]
    place = ["--bind", "127.0.0.1", "--port", str(port)]
    process = Process("valkey", [server, *options, *place], {}, tmp_path, tmp_path / "log")
    known = redis.Redis(port=port, username="gatehouse", password="secret", decode_responses=True)
    stranger = redis.Redis(port=port)
    try:
        until(known.ping, 10, f"the server: {process.output}")
        assert known.info("memory")["maxmemory_policy"] == "noeviction"
        assert known.info("persistence")["aof_enabled"] == 1
        with pytest.raises(redis.exceptions.AuthenticationError):
            stranger.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            known.shutdown(nosave=True)
    finally:
        known.close(), stranger.close()
        process.kill9()
