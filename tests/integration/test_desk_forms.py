"""The forms of the desk's pages in the real web process: run now, backfill, cancel, and run again. Nothing works them off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
import requests
from lxml import html

from tests.harness import Install, patient
from tests.harness.process import Process
from tests.harness.shell import Shell

#: What a browser says with a form of our own page.
OURS = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module", autouse=True)
def web(house: Install) -> Process:
    return house.web()


def page(house: Install, path: str) -> str:
    answer = requests.get(f"{house.web_url}{path}", headers=OURS, timeout=patient(10))
    assert answer.status_code == 200, answer.text
    return " ".join(" ".join(html.fromstring(answer.text).find(".//main").itertext()).split())


def send(house: Install, path: str, **fields: str) -> requests.Response:
    """Send a form, and follow to the page that says what it did."""
    return requests.post(f"{house.web_url}{path}", data=fields, headers=OURS, timeout=patient(10))


def decided(house: Install) -> tuple[Any, ...]:
    """The newest line of the audit."""
    answer = requests.get(f"{house.web_url}/audit", headers=OURS, timeout=patient(10))
    return tuple(" ".join(html.fromstring(answer.text).find(".//main//li").itertext()).split())


def test_run_now_starts_a_tick_and_leads_to_its_call(house: Install, store: redis.Redis) -> None:
    answer = send(house, "/agents/publisher/run", entry="publish", why="the post of today")

    [call] = [each for each in store.zrange("gate:{publisher}:queued", 0, -1) if each.startswith("tick:publish:")]
    assert "publish was started; this is its call." in answer.text
    assert call in answer.text
    assert {"run", "publish", "desk"} <= set(decided(house))
    assert send(house, "/agents/publisher/run", entry="nope", why="x").status_code == 404


def test_a_backfill_starts_what_its_preview_showed_and_nothing_twice(house: Install, store: redis.Redis) -> None:
    now = datetime.now(UTC)
    newest = now - timedelta(minutes=now.minute % 15)  # when the monitor was due last
    times = {"from": f"{newest - timedelta(minutes=15):%Y-%m-%dT%H:%M}", "to": f"{newest:%Y-%m-%dT%H:%M}"}
    preview = requests.get(
        f"{house.web_url}/schedule/monitor/backfill", params=times, headers=OURS, timeout=patient(10)
    )
    [form] = [
        each for each in html.fromstring(preview.text).forms if each.method == "POST" and "backfill" in each.action
    ]
    assert not store.zcard("gate:{monitor}:queued")

    fields = {**dict(form.fields), "why": "beat was down"}
    answers = [send(house, "/schedule/monitor/backfill", **fields).text for _ in range(2)]

    assert "monitor: started 2 of 2 ticks." in answers[0]
    assert "monitor: started 0 of 2 ticks." in answers[1]
    assert store.zcard("gate:{monitor}:queued") == 2


def test_a_queued_call_is_cancelled_with_its_reason(house: Install, shell: Shell) -> None:
    [call] = shell.delay("counter.add", {"a": 1, "b": 2})
    assert "Cancel this call" in page(house, f"/calls/{call}")

    answer = send(house, "/cancel", call=call, why="too late for it")

    assert "is cancelled" in answer.text
    assert "Cancel this call" not in page(house, f"/calls/{call}")
    assert {"revoke", call} <= set(decided(house))


def test_a_rejected_call_runs_again_from_its_page(house: Install, shell: Shell) -> None:
    [call] = shell.delay("clerk.complain", {"words": "it broke"})
    shell.run(
        """
        from state.ledger import Ledger
        from workers import app
        app.tasks["clerk.complain"].apply(kwargs={"words": words}, task_id=call, throw=False)
        """,
        call=call,
        words="it broke",
    )
    assert "Run this call again" in page(house, f"/calls/{call}")

    assert "The call runs again" in send(house, "/replay", call=call, why="mended").text
