"""The image and its compose file: their linters accept them, and the image contains nothing private."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml

from deploy import procfile
from tests.deploy.tools import DEPLOY, ROOT, run, tool

PROCFILE = procfile.read(ROOT / "Procfile")
COMPOSE = DEPLOY / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()

#: Options that differ in a container, which has a 127.0.0.1 of its own.
ADDRESSES = {"--host", "--port", "--address"}


def words(command: str) -> list[str]:
    """Return the words of a command without the options of ADDRESSES."""
    parts = iter(shlex.split(command))
    remaining = []
    for part in parts:
        name, _, value = part.partition("=")
        if name not in ADDRESSES:
            remaining.append(part)
        elif not value:
            next(parts)
    return remaining


def test_compose_accepts_the_file() -> None:
    done = run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", COMPOSE)

    assert done.returncode == 0, done.stdout


def test_hadolint_finds_nothing() -> None:
    done = run(tool("hadolint"), DEPLOY / "Dockerfile")

    assert done.returncode == 0, done.stdout


def test_there_is_a_container_for_each_process_and_one_for_the_server() -> None:
    assert {*PROCFILE, "redis"} == set(SERVICES)


@pytest.mark.parametrize("name", PROCFILE)
def test_a_container_runs_the_line_of_the_procfile(name: str) -> None:
    assert words(PROCFILE[name]) == words(SERVICES[name]["command"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_needless_privileges(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_open_to_this_machine_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_the_server_has_no_network() -> None:
    assert SERVICES["redis"]["network_mode"] == "none"


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_sees_the_same_state(name: str) -> None:
    assert {"state:/data/state", "public:/data/public", "content:/data/content"} == set(SERVICES[name]["volumes"])
    assert SERVICES[name]["environment"]["STATE_DIR"] == "/data/state"


def test_the_image_runs_as_an_unprivileged_user() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]

    users = [line.split()[1] for line in final.splitlines() if line.startswith("USER ")]

    assert users == ["10001:10001"]
    assert final.index("\nUSER ") < final.index("\nCMD ")


def test_the_image_contains_only_files_that_dockerignore_names() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]

    assert patterns[0] == "*"
    assert not {"!.env", "!.git", "!.*", "!*"} & set(patterns)
    # Where `make up` keeps the data of this machine.
    assert not {"!var", "!public"} & set(patterns)
    # Where earlier versions kept their data, beside the code.
    assert {"state/agents/**/*.json*", "state/journal/**/*.json*", "state/run", "state/secrets"} <= set(patterns)
