"""Each figure of a report after a real day: computed here from Redis, without the code under test."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import html
from redis import Redis

from state.redis.keys import Keys
from tests.harness import Install, until
from tests.harness.polling import avoid_midnight
from tests.harness.shell import Shell
from tests.integration.test_monitor_and_reporter import MONITOR

pytestmark = pytest.mark.slow

POST = "---\ntitle: Hello\npublish_at: 2026-11-01\n---\n\nText.\n"
DRAFT = "---\nid: digest-1\ntitle: Unreviewed\npublish_at: 2026-11-01\nmade_by: rules\n---\n\nText.\n"
#: The events that the calls of the test make.
MADE = {"counter": 11, "publisher": 10, "clerk": 0}


@pytest.fixture(scope="module")
def page(house: Install, shell: Shell, store: Redis) -> Any:
    """Make a day of every outcome; return the page of its report."""
    avoid_midnight(minutes=3)
    (house.content_dir / "monitor.toml").write_text(MONITOR)
    (house.content_dir / "hello.md").write_text(POST)
    (house.content_dir / "broken.md").write_text("---\npublish_at: 2026-11-01\n---\n\nNo title.\n")
    (house.content_dir / "drafts").mkdir()
    (house.content_dir / "drafts" / "digest-1.md").write_text(DRAFT)
    house.worker()
    calls = [
        *shell.delay("counter.add", *({"a": n, "b": 2} for n in range(3))),
        *shell.delay("counter.fail", {"times": 1, "name": "of-a-day"}),
        *shell.delay("counter.limited", *({"n": n} for n in range(5))),
        *shell.delay("counter.garbled", {"n": 1}),
        *shell.delay("tasks.publisher.publish", {"post_id": "hello", "destination": "feed"}),
        *shell.delay("tasks.publisher.publish", *({"post_id": f"none{n}", "destination": "feed"} for n in range(9))),
        *shell.delay("tasks.monitor.check", {}),
    ]
    message = {"channel": "chat", "conversation": "ada", "message_id": "m1", "text": "It is broken!", "sender": "ada"}
    calls += shell.delay("tasks.responder.respond", message)
    house.results(calls)
    until(lambda: len(events(store, "counter")) == MADE["counter"], 30, "the second attempt of counter.fail")
    house.web()  # the incident of the web process is over now, and the monitor does not know it yet
    entry = {"key": "post:1", "state": "unknown", "since": 1_795_000_000_000, "why": "read timed out"}
    store.hset(Keys("clerk").held, "post:1", json.dumps(entry))
    house.gate("pause", "clerk", "--why", "to see")
    (call,) = shell.delay("tasks.reporter.report", {})
    url = house.answer(call)["result"]["url"]
    return html.parse(str(house.public_dir / "reports" / f"{url.rpartition('/')[2]}")).getroot()


def events(store: Redis, agent: str) -> list[dict[str, Any]]:
    rows = [fields for _, fields in store.xrange(Keys(agent).events)]
    return [
        {"outcome": "refused", "stage": "", **json.loads(row["refusal"])}
        if "refusal" in row
        else {"began": True, **json.loads(row["attempt"])}
        for row in rows
    ]


def number(cell: str) -> int:
    return 0 if cell.strip() == "·" else int(cell.replace(",", ""))


def ms(text: str) -> float:
    value, unit = text.split()
    return float(value) * {"ms": 1, "s": 1000, "min": 60_000}[unit]


def test_the_row_of_each_agent_is_what_its_event_stream_has(page: Any, store: Redis) -> None:
    rows = page.xpath("//table[@class='agents']/tbody/tr")
    shown = {row.xpath("string(th/text())"): [number(cell) for cell in row.xpath("td[@class]/text()")] for row in rows}

    for agent in MADE:
        ends = [event["outcome"] for event in events(store, agent)]
        bad, refused = ends.count("failed") + ends.count("unknown"), ends.count("refused")
        assert shown[agent] == [len(ends) - refused, bad, refused, int(agent == "publisher")], agent
    assert shown["counter"] == [3 + 2 + 3 + 1, 1, 2, 0]
    assert shown["publisher"] == [1, 0, 9, 1]


def test_the_whole_is_the_sum_of_the_agents_and_errors_are_not_well(page: Any, store: Redis, house: Install) -> None:
    every = [event for agent in _all(house) for event in events(store, agent)]
    runs = [event for event in every if event["outcome"] != "refused"]
    refused = [event for event in every if event["outcome"] == "refused"]
    errors = [event for event in every if event.get("began") and event.get("error")]
    attempts = len(runs) + sum(event in errors for event in refused)

    shown = page.xpath("//*[@class='figures']/b/text()")
    assert len(errors) >= 11  # nine refusals of the publisher itself, a failure and a flaw
    share = math.floor(1000 * (attempts - len(errors)) / attempts) / 10
    assert shown == [str(len(runs)), f"{share:g} %", str(len(refused)), str(len(errors))]
    assert page.xpath("string(//p[@class='lead'])").startswith("In the last 24 hours: ")
    assert "nine errors without a run" in page.xpath("string(//p[@class='lead'])")
    assert "one run with a flaw" in page.xpath("string(//p[@class='lead'])")


def test_stages_days_and_durations_are_those_of_the_events(page: Any, store: Redis, house: Install) -> None:
    every = [event for agent in _all(house) for event in events(store, agent)]
    rows = page.xpath("//table[@class='refusals']/tbody/tr")
    stages = {row.xpath("string(th/text())"): number(row.xpath("string(td[last()]/b)")) for row in rows}
    refused = [event.get("stage") or "task" for event in every if event["outcome"] == "refused"]
    assert stages == {stage: refused.count(stage) for stage in refused}
    assert (stages["rate"], stages["task"]) == (2, 9)

    took = sorted(event["ms"] for event in events(store, "counter") if event["outcome"] != "refused")
    (row,) = page.xpath("//table[@class='durations']/tbody/tr[th/text()='counter']")
    typical, slow = (ms(cell) for cell in row.xpath("td[@class='n']/text()"))
    assert typical == pytest.approx(took[math.ceil(len(took) / 2) - 1], rel=0.05)
    assert slow == pytest.approx(took[math.ceil(len(took) * 0.95) - 1], rel=0.05)

    (details,) = page.xpath("//details[summary/text()='counter']")
    today = [number(cell.text_content()) for cell in details.xpath(".//tbody/tr[last()]/td")[:4]]
    ends = [event["outcome"] for event in events(store, "counter")]
    assert today == [ends.count(outcome) for outcome in ("done", "failed", "unknown", "refused")]


def test_what_waits_is_listed_once_and_what_is_over_is_not(page: Any, house: Install) -> None:
    assert "url web" in house.state("monitor")["incidents"]

    names = page.xpath("//section[@class='waiting']//li/strong/text()")

    standing, others = names[:-5], names[-5:]
    assert others == ["clerk", "post:1", "digest-1", "mailbox/chat", "broken.md"]
    assert "url web" not in standing
    assert "processes" in standing  # no beat runs here
    assert set(standing) < set(house.state("monitor")["incidents"])
    begin, end = re.split(r" stands?, ", page.xpath("string(//h1)"))
    assert begin.startswith("One key is held, clerk is paused, ")
    assert end == "one draft waits, one message waits for an answer and one post is broken."
    (row,) = page.xpath("//table[@class='incidents']/tbody/tr[th/text()='url web']")
    assert "stands" not in row.text_content()
    assert "Unreviewed" not in page.text_content()


def test_errors_are_listed_with_how_many_more_there_are(page: Any) -> None:
    assert len(page.xpath("//ul[@class='errors']/li")) >= 5
    assert "publisher has 4 more in its state file" in page.text_content()
    assert f"{datetime.now(UTC):%m-%d}" in page.xpath("string(//ul[@class='errors']//time)")


def _all(house: Install) -> list[str]:
    """Return all agents but the reporter, whose run ends after its report is made."""
    return sorted({path.stem for path in (house.state_dir / "agents").glob("*.json")} - {"reporter"})
