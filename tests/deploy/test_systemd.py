"""The units: systemd accepts them, they run the lines of the Procfile, and they limit what an intruder can do."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from deploy import procfile
from tests.deploy.tools import DEPLOY, ROOT, run, tool

PROCFILE = procfile.read(ROOT / "Procfile")
SERVICES = sorted((DEPLOY / "systemd").glob("*.service"))
PREFIX = "gatehouse-"


def process_of(unit: Path) -> str:
    return unit.stem.removeprefix(PREFIX)


def read(unit: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return parser


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of units that deploy/server.sh installs."""
    root = tmp_path_factory.mktemp("server")
    done = run("sh", DEPLOY / "server.sh", env={"DESTDIR": str(root)})
    assert done.returncode == 0, done.stderr
    return root / "usr/local/lib/systemd/system"


def test_systemd_accepts_every_unit(installed: Path) -> None:
    units = [str(unit) for unit in installed.glob("gatehouse*.*") if unit.is_file()]

    # The colon at the end adds the machine's own units.
    done = run(tool("systemd-analyze"), "verify", *units, env={"SYSTEMD_UNIT_PATH": f"{installed}:"})

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "gatehouse" in line] == []
    assert len(units) == len(SERVICES) + 1


@pytest.mark.parametrize("unit", SERVICES, ids=process_of)
def test_systemd_finds_little_exposed(installed: Path, unit: Path) -> None:
    analyze = tool("systemd-analyze")
    if "--offline" not in run(analyze, "--help").stdout:
        pytest.skip("this systemd-analyze checks only running services")

    done = run(
        analyze,
        "security",
        "--offline=yes",
        "--no-pager",
        "--threshold=15",  # of 100; a service without hardening has 96
        unit.name,
        env={"SYSTEMD_UNIT_PATH": f"{installed}:"},
    )

    assert done.returncode == 0, done.stdout[-400:] + done.stderr


@pytest.mark.parametrize("name", PROCFILE)
def test_a_unit_runs_the_line_of_the_procfile(name: str) -> None:
    line = PROCFILE[name].replace("$", "$$")  # systemd would expand its own variables

    started = read(DEPLOY / "systemd" / f"{PREFIX}{name}.service")["Service"]["ExecStart"]

    assert "'" not in line
    assert f"/bin/sh -c 'exec {line}'" == started


def test_there_is_a_unit_for_each_process_and_one_for_the_server() -> None:
    assert {*PROCFILE, "redis"} == {process_of(unit) for unit in SERVICES}


def test_the_target_wants_every_service() -> None:
    wanted = read(DEPLOY / "systemd" / "gatehouse.target")["Unit"]["Wants"].split()

    assert {unit.name for unit in SERVICES} == set(wanted)


@pytest.mark.parametrize("unit", [unit for unit in SERVICES if process_of(unit) != "redis"], ids=process_of)
def test_everything_starts_after_the_server_and_so_stops_before_it(unit: Path) -> None:
    assert f"{PREFIX}redis.service" in read(unit)["Unit"]["After"].split()


@pytest.mark.parametrize("unit", SERVICES, ids=process_of)
def test_every_service_has_its_limits(unit: Path) -> None:
    limits = read(unit)["Service"]

    assert re.fullmatch(r"\d+M", limits["MemoryMax"])
    assert int(limits["TasksMax"]) > 0


def test_the_server_refuses_writes_before_its_service_is_killed() -> None:
    service = read(DEPLOY / "systemd" / "gatehouse-redis.service")["Service"]
    full = re.search(r"--maxmemory (\d+)mb", service["ExecStart"])

    assert full
    assert 2 * int(full[1]) < int(service["MemoryMax"].removesuffix("M"))
