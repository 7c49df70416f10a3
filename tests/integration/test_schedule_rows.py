"""A bad row of a table, as the commands tell it; the good rows run all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from state.ledger import schedule_runs
from tests.harness import Install, Valkey

TABLE = """
schedule = {
    "bad": {"cron": "0 0 */20 * 1L", "task": "clerk.remember", "kwargs": {"name": "ticked", "value": 1}},
    "good": {"cron": "0 4 * * *", "task": "clerk.remember", "kwargs": {"name": "ticked", "value": 1}},
    "list": {"cron": "0 4 * * *", "task": "clerk.dig", "kwargs": {"topics": ["a", "b"]}},
}
"""

#: Python runs this before anything else: the tables of these tests come before those that ship, whatever is in them.
FIRST = """
import importlib.util, os, sys
class Tables:
    def find_spec(self, name, path=None, target=None):
        file = f"{__file__.rpartition('/')[0]}/{name}.py"
        named = name in ("beat_schedule", "webhook_routes") and os.path.exists(file)
        return importlib.util.spec_from_file_location(name, file) if named else None
sys.meta_path.insert(0, Tables())
"""


@pytest.fixture
def house(install_on: Callable[[Valkey], Install], valkey: Valkey) -> Install:
    install = install_on(valkey)
    install.env["TASK_MODULES"] = "clerk"
    folder = install.folder / "tables"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(FIRST)
    install.env["PYTHONPATH"] = f"{folder}:{install.env['PYTHONPATH']}"
    return install


def write(house: Install, text: str, name: str = "beat_schedule") -> None:
    (house.folder / "tables" / f"{name}.py").write_text(text)


def test_the_commands_tell_each_bad_row_with_its_line_and_run_the_good_one(house: Install, valkey: Valkey) -> None:
    write(house, TABLE)
    schedule_runs.failed("clerk", "good", datetime(2026, 11, 22, 4, tzinfo=UTC), "a reason")

    listed, examined = house.celery("gate", "schedule", "--json"), house.celery("gate", "doctor", "--json")
    good, bad = house.celery("gate", "run", "good"), house.celery("gate", "run", "bad")

    problems = {row["entry"]: row["problem"] for row in json.loads(listed.stdout)}
    assert "line 3: entry 'bad': cron '0 0 */20 * 1L': no such time comes within 50 years" in problems["bad"]
    assert "line 5: entry 'list': 'dig:{topics}': topics is a list" in problems["list"]
    assert "2026-11-22T04:00:00+00:00 could not be started: a reason" in problems["good"]
    assert listed.returncode == 1
    found = [row["found"] for row in json.loads(examined.stdout) if not row["ok"] and row["check"] == "schedule row"]
    assert found == [problems["bad"], problems["list"], "good: a reason"]
    assert examined.returncode == 1
    assert good.returncode == 0
    assert bad.returncode == 1
    assert problems["bad"] in bad.stderr
    assert not [done for done in (listed, examined, good, bad) if "Traceback" in done.stderr]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("schedule = [1]", "beat_schedule.py: schedule is a list; write schedule = {"),
        ("timezone = 'UTC'", "beat_schedule.py: there is no schedule; write schedule = {"),
        ("schedule = {}\nx = = 1", "beat_schedule.py, line 2: invalid syntax"),
        ("import nothing_of_this_name", "beat_schedule.py, line 1: ModuleNotFoundError: No module named 'nothing_of"),
        ("raise SystemExit(3)", "beat_schedule.py, line 1: SystemExit: 3"),
    ],
    ids=["list", "missing", "syntax", "import", "exit"],
)
def test_a_table_that_cannot_be_read_is_one_line_at_every_command(house: Install, text: str, says: str) -> None:
    write(house, text)

    commands = [("gate", "schedule"), ("gate", "run", "good"), ("gate", "doctor"), ("beat",)]
    done = [house.celery(*command) for command in commands]

    for each in done:
        assert each.returncode == 1, each.args
        assert says in each.stdout + each.stderr
        assert "Traceback" not in each.stdout + each.stderr


def test_a_bad_row_of_the_webhooks_is_told_by_the_doctor(house: Install) -> None:
    write(
        house,
        "sources = {\n    'forge': {'scheme': 'md5', 'event': 'body:type', 'delivery': 'body:id', 'start': {}},\n}",
        "webhook_routes",
    )

    examined = json.loads(house.celery("gate", "doctor", "--json").stdout)

    [found] = [row for row in examined if row["check"] == "webhooks"]
    assert not found["ok"]
    assert found["found"].startswith("webhook_routes.py, line 2: 'forge': there is no scheme 'md5'")
