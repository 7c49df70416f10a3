"""The examples run for real: a worker, a web process, and a server that counts effects."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import senders
from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()

#: Python runs this before anything else: the tables are those of the examples, merged, as an owner would add their rows.
FIRST = """
import importlib.util, sys
from pathlib import Path

class Tables:
    def find_spec(self, name, path=None, target=None):
        file = Path(__file__).parent / f"{name}.py"
        named = name in ("beat_schedule", "webhook_routes")
        return importlib.util.spec_from_file_location(name, file) if named else None

sys.meta_path.insert(0, Tables())
"""
ROUTES = """
import runpy

sources = {}
for example in ("greeter", "pager"):
    (name, row), = runpy.run_path(f"%(examples)s/{example}/webhook_routes.py")["sources"].items()
    sources.setdefault(name, {**row, "start": {}})["start"].update(row["start"])
"""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EffectServer]:
    server = EffectServer(tmp_path_factory.mktemp("provider")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, valkey_server: Valkey, provider: EffectServer) -> Iterator[Install]:
    """Both examples as agents of one installation, with a worker and a web process."""
    folder = tmp_path_factory.mktemp("examples")
    tables = folder / "tables"
    tables.mkdir()
    (tables / "sitecustomize.py").write_text(FIRST)
    (tables / "beat_schedule.py").write_text((EXAMPLES / "greeter" / "beat_schedule.py").read_text())
    (tables / "webhook_routes.py").write_text(ROUTES % {"examples": EXAMPLES})
    outbox = folder / "outbox"
    outbox.mkdir()
    install = Install(folder / "install", valkey_server.url, task_modules=["greeter", "pager"])
    paths = [tables, EXAMPLES / "greeter", EXAMPLES / "pager", install.env["PYTHONPATH"]]
    install.env |= {
        "PYTHONPATH": ":".join(map(str, paths)),
        "OUTBOX": str(outbox),
        "PAGER_URL": provider.base_url,
        "WEBHOOK_SECRET_STANDARD": SECRET,
    }
    with ThreadPoolExecutor(2) as pool:
        for started in (pool.submit(install.web), pool.submit(install.worker)):
            started.result()
    yield install
    install.close()


def deliver(house: Install, event: str, delivery: str, **data: str) -> int:
    """Send a signed webhook; return the status of the response."""
    body = json.dumps({"type": event, "data": data}).encode()
    headers = senders.standard(SECRET, body, delivery)
    return senders.send(f"{house.web_url}/hooks/standard", body, headers).status


def letters(house: Install) -> set[str]:
    return {file.stem for file in Path(house.env["OUTBOX"]).iterdir()}


def state_of(house: Install, key: str) -> str:
    return str(house.explain(key)["state"])


def test_a_call_of_the_greeter_leaves_one_letter(house: Install) -> None:
    first, second = (house.answer(house.call("greeter.greet", guest="linus")) for _ in range(2))

    assert (first["ok"], first["replayed"]) == (True, False)
    assert (second["ok"], second["replayed"]) == (True, True)
    assert (Path(house.env["OUTBOX"]) / "linus.txt").read_text() == "Welcome, linus!"


def test_the_schedule_row_of_the_greeter_greets_everyone(house: Install) -> None:
    house.gate("run", "greet")

    until(lambda: letters(house) >= {"ada", "grace"}, 30, "the letters of the schedule")


def test_the_webhook_row_of_the_greeter_greets_a_guest_once(house: Install) -> None:
    assert deliver(house, "guest.arrived", "msg_guest", guest="barbara") == 202
    assert deliver(house, "guest.arrived", "msg_guest", guest="barbara") == 200

    until(lambda: "barbara" in letters(house), 30, "the letter to barbara")


def test_the_webhook_row_of_the_pager_sends_one_page(house: Install, provider: EffectServer) -> None:
    assert deliver(house, "alarm.raised", "msg_alarm", alarm="disk", text="The disk is full.") == 202

    until(lambda: state_of(house, "page:disk") == "done", 30, "the page")
    assert provider.count("disk") == 1


def test_a_page_whose_response_is_lost_is_looked_up_and_not_sent_again(house: Install, provider: EffectServer) -> None:
    provider.mode("apply_then_drop", key="queue", for_next=1)

    house.call("pager.page", alarm="queue", text="The queue is long.")

    until(lambda: state_of(house, "page:queue") == "done", 60, "the page that was looked up")
    assert provider.count("queue") == 1
    assert provider.arrived("queue") == 1
