"""What a person sees of the shared journal: the doctor, the import, and refusals at the start."""

from __future__ import annotations

import json

import pytest

from tests.harness import Install, until
from tests.harness.postgres import Postgres
from tests.shared_journal.test_import import a_machine


@pytest.fixture
def host(install: Install, journal_url: str) -> Install:
    install.env["JOURNAL_URL"] = journal_url
    return install


def findings(host: Install) -> dict[str, dict[str, object]]:
    return {row["check"]: row for row in json.loads(host.celery("gate", "doctor", "--json").stdout)}


def test_the_doctor_says_where_records_are_and_how_safe(host: Install, postgres_server: Postgres) -> None:
    found = findings(host)

    assert f"127.0.0.1:{postgres_server.port}" in str(found["journal database"]["found"])
    assert "it has no standby" in str(found["journal database"]["found"])
    assert str(found["effects"]["found"]).startswith("open, journal in postgresql://127.0.0.1")


@pytest.mark.slow
def test_an_asynchronous_standby_is_told_without_the_doctor(install: Install, fragile_postgres: Postgres) -> None:
    install.env["JOURNAL_URL"] = fragile_postgres.url
    standby = fragile_postgres.standby("b")
    try:
        until(lambda: fragile_postgres.sql("SELECT 1 FROM pg_stat_replication"), what="the standby to follow")
        warned = install.worker()
        assert install.answer(install.call("counter.add", a=1, b=2))["ok"]
        status = install.celery("gate", "status").stdout
        warned.terminate()

        fragile_postgres.set("synchronous_standby_names", "ANY 1 (b)")
        at_ease = install.worker()
        assert install.answer(install.call("counter.add", a=2, b=2))["ok"]
    finally:
        standby.close()

    [line] = warned.events("journal database")
    assert line["level"] == "warning"
    assert "asynchronous: its standby (1) may lack the newest records" in line["found"]
    assert "set synchronous_standby_names" in line["hint"]
    assert "asynchronous: its standby (1)" in " ".join(status.split())
    assert not at_ease.events("journal database")


def test_files_are_imported_once_and_then_effects_are_open(host: Install) -> None:
    a_machine(host.folder, "state", "e1", 1)
    assert "journal import" in str(findings(host)["effects"]["found"])

    [first] = host.gate("journal", "import")
    [again] = host.gate("journal", "import")

    assert (first["records"], first["known"]) == (3, 0)
    assert (again["records"], again["known"]) == (0, 3)
    assert "journal import" not in str(findings(host)["effects"]["found"])


def test_an_import_without_a_database_says_what_to_set(install: Install) -> None:
    done = install.celery("gate", "journal", "import")

    assert done.returncode == 1
    assert "JOURNAL_URL is not set" in done.stderr


def test_a_process_that_lost_its_journal_url_does_not_start(host: Install) -> None:
    assert host.gate("status") is not None
    findings(host)  # makes the copy
    del host.env["JOURNAL_URL"]

    done = host.celery("gate", "status")

    assert done.returncode != 0
    assert "JOURNAL_URL is not set, but the journal of this installation is in a database" in done.stdout + done.stderr


def test_a_record_names_the_host_that_wrote_it_as_people_named_it(
    host: Install, postgres_server: Postgres, database: str
) -> None:
    host.env["HOST_NAME"] = "web1"

    host.gate("pause", "counter", "--why", "to have a record")

    [[name]] = postgres_server.sql("SELECT DISTINCT host FROM gatehouse_journal", database)
    mark = (host.state_dir / "run" / "host").read_text().strip().rpartition(".")[2]
    assert name == f"web1.{mark}"
