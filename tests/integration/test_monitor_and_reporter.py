"""The monitor and the reporter behind a real worker: told once, seen in the state, and numbers that are true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest
from lxml import html
from redis import Redis

from state.redis.keys import Keys
from tests.harness import Install, Process, patient, until
from tests.harness.install import http_status
from tests.harness.polling import avoid_midnight
from tests.harness.shell import Shell
from tests.web_server import WebServer

MONITOR = """
second_look = "50ms"

[[url]]
name = "web"
url = "{web_url}/healthz"
max_latency = "4s"

[limits]
disk_percent = 100
memory_percent = 100
load_per_core = 10000
redis_ping = "4s"
"""

POST = """---
title: Hello & <welcome>
publish_at: 2026-11-01
---

The first paragraph.
"""


@pytest.fixture(scope="module")
def worker(house: Install) -> Process:
    (house.content_dir / "monitor.toml").write_text(MONITOR)
    (house.content_dir / "hello.md").write_text(POST)
    return house.worker()


@pytest.fixture
def redis(house: Install) -> Iterator[Redis]:
    with Redis.from_url(house.redis_url, decode_responses=True) as made:
        yield made


def result_of(house: Install, shell: Shell, task: str, **kwargs: Any) -> Any:
    (call,) = shell.delay(task, kwargs)
    return house.answer(call)["result"]


def state(house: Install, agent: str, name: str) -> Any:
    return until(lambda: house.state(agent)[name], what=f"{name} in the state of {agent}")


def told(worker: Process, event: str, check: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in worker.output.splitlines() if f'"event": "{event}"' in line)
    return [line for line in lines if line["check"] == check]


def test_an_incident_and_its_end_are_each_told_once(house: Install, shell: Shell, worker: Process) -> None:
    first = result_of(house, shell, "tasks.monitor.check")
    second = result_of(house, shell, "tasks.monitor.check")

    assert "url web" in first["alerts"]
    assert "url web" in second["failing"]
    assert second["alerts"] == []
    assert [line["level"] for line in told(worker, "alert", "url web")] == ["error"]
    until(lambda: "url web" in house.state("monitor")["incidents"], what="the incident in the state")
    verdict = house.state("monitor")["verdict"]
    (web,) = [check for check in verdict["checks"] if check["name"] == "url web"]
    assert verdict["ok"] is False
    assert set(web) == {"name", "ok", "value", "limit", "why"}
    assert web["why"] == f"{house.web_url}/healthz does not answer: Connection refused"

    house.web()
    third = result_of(house, shell, "tasks.monitor.check")
    fourth = result_of(house, shell, "tasks.monitor.check")

    assert third["recovered"] == ["url web"]
    assert fourth["recovered"] == []
    assert [line["level"] for line in told(worker, "recovered", "url web")] == ["error"]
    until(lambda: "url web" not in house.state("monitor")["incidents"], what="the end in the state")
    (past,) = [past for past in house.state("monitor")["past_incidents"].values() if past["name"] == "url web"]
    assert past["since"] < past["until"]


class Late(BaseHTTPRequestHandler):
    """A server that works; the test starts it late."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


def test_a_web_process_that_starts_a_moment_later_raises_no_alarm(
    house: Install, shell: Shell, worker: Process, redis: Redis
) -> None:
    patient = MONITOR.replace("50ms", "4s").replace("{web_url}", f"http://127.0.0.1:{house.flower_port}")
    (house.content_dir / "monitor.toml").write_text(patient.replace('"web"', '"late"'))
    redis.delete(Keys("monitor").facts)
    try:
        (call,) = shell.delay("tasks.monitor.check", {})
        until(lambda: '"url": "http://127.0.0.1:' + str(house.flower_port) in worker.output, what="the first look")
        # A thread here: a process may need longer than the 4 s to start.
        with closing(WebServer(Late, house.flower_port).start()):
            answer = house.answer(call, deadline=30)["result"]
    finally:
        (house.content_dir / "monitor.toml").write_text(MONITOR)

    assert "url late" not in answer["failing"]
    assert "url late" not in answer["alerts"]


def test_a_file_that_cannot_be_read_is_told_and_everything_else_is_looked_at(
    house: Install, shell: Shell, worker: Process
) -> None:
    (house.content_dir / "monitor.toml").write_text("[[url]]\nname = 7")
    try:
        answer = shell.run("from tasks import monitor, publisher\nanswer = monitor.check()")["result"]
    finally:
        (house.content_dir / "monitor.toml").write_text(MONITOR)

    assert "monitor.toml" in answer["alerts"]
    names = {check["name"] for check in state(house, "monitor", "verdict")["checks"]}
    assert {"disk state", "memory", "load", "redis ping", "redis aof", "queue", "agent publisher"} <= names


def test_incidents_are_looked_at_again_and_those_that_cannot_be_stand(house: Install, shell: Shell) -> None:
    look = "from tasks import monitor\nanswer = sorted(monitor.failing(['url web', 'url gone', 'disk state'], {}))"
    (house.content_dir / "monitor.toml").write_text(MONITOR.replace("{web_url}", "http://127.0.0.1:9"))
    try:
        assert shell.run(look) == ["url web"]
        (house.content_dir / "monitor.toml").write_text("[[url]]\nname = 7")
        assert shell.run(look) == ["url gone", "url web"]
    finally:
        (house.content_dir / "monitor.toml").write_text(MONITOR)


def test_a_key_that_waits_for_a_person_is_an_incident_until_it_is_resolved(
    house: Install, shell: Shell, worker: Process, redis: Redis
) -> None:
    entry = {"key": "capped:1", "state": "unknown", "since": 1_795_000_000_000, "why": "read timed out"}
    redis.hset(Keys("clerk").held, "capped:1", json.dumps(entry))
    began = result_of(house, shell, "tasks.monitor.check")
    redis.hdel(Keys("clerk").held, "capped:1")
    ended = result_of(house, shell, "tasks.monitor.check")

    assert "held capped:1" in began["alerts"]
    assert "held capped:1" in ended["recovered"]


# The report


def events(redis: Redis, agent: str) -> list[dict[str, Any]]:
    """What the stream says, read without the code under test."""
    rows = [fields for _, fields in redis.xrange(Keys(agent).events)]
    refusals = [{"outcome": "refused", **json.loads(row["refusal"])} for row in rows if "refusal" in row]
    return refusals + [json.loads(row["attempt"]) for row in rows if "attempt" in row]


def get(url: str) -> str:
    with build_opener(ProxyHandler({})).open(url, timeout=patient(5)) as answer:
        return str(answer.read().decode())


def number(cell: str) -> int:
    return 0 if cell == "·" else int(cell.replace(",", ""))


def test_the_report_tells_the_numbers_of_the_events_and_is_served(
    house: Install, shell: Shell, worker: Process, redis: Redis
) -> None:
    avoid_midnight()
    calls = [
        # It has one attempt: a second one might come any time.
        *shell.delay("clerk.complain", {"words": "for the report"}),
        *shell.delay("counter.limited", *({"n": n} for n in range(5))),
        *shell.delay("counter.add", {"a": 1, "b": 2}),
        *shell.delay("tasks.publisher.publish", {"post_id": "hello", "destination": "feed"}),
    ]
    house.results(calls)
    if not any(process.name.startswith("web") for process in house.processes):
        house.web()

    report = result_of(house, shell, "tasks.reporter.report")

    assert redis.zcard(Keys("reporter").waiting) == 1  # the first one is made anew when the first runs are over
    today = datetime.now(UTC).date().isoformat()
    assert report["day"] == today
    assert report["url"] == f"{house.web_url}/reports/{today}.html"
    page = html.fromstring(get(report["url"]))
    rows = page.xpath("//table[@class='agents']/tbody/tr")
    shown = {row.xpath("string(th/text())"): [number(cell) for cell in row.xpath("td[@class]/text()")] for row in rows}
    for agent in ("counter", "clerk", "publisher"):
        ends = [event["outcome"] for event in events(redis, agent)]
        refused = ends.count("refused")
        posts = 1 if agent == "publisher" else 0
        bad = ends.count("failed") + ends.count("unknown")
        assert shown[agent] == [len(ends) - refused, bad, refused, posts]
    assert (shown["counter"][2], shown["clerk"][1]) == (2, 1)
    stages = page.xpath("//table[@class='refusals']/tbody/tr[th/text()='rate']/td/b/text()")
    assert stages == ["2"]
    assert "Hello & <welcome>" in page.xpath("//ul[@class='published']//a/text()")
    assert get(f"{house.web_url}/reports/{today}.md").startswith("# Report of ")
    assert f"{today}.html" in get(f"{house.web_url}/reports/")
    assert "../reports/" in html.fromstring(get(f"{house.web_url}/posts/")).xpath("//nav//a/@href")
    assert state(house, "reporter", "newest_report")["lead"] == report["lead"]


def reports(house: Install) -> set[str]:
    return {path.name for path in (house.public_dir / "reports").glob("2*.html")}


def test_the_same_day_again_is_the_same_file(house: Install, shell: Shell, worker: Process, redis: Redis) -> None:
    before = redis.zcard(Keys("reporter").waiting)

    avoid_midnight()
    first, files = result_of(house, shell, "tasks.reporter.report")["day"], reports(house)
    second = result_of(house, shell, "tasks.reporter.report")["day"]

    assert first == second
    assert redis.zcard(Keys("reporter").waiting) <= before
    assert reports(house) == files
    # The first report is made anew.
    until(lambda: not list((house.public_dir / "reports").glob(".*")), what="no unfinished file")
    assert http_status(f"{house.web_url}/reports/.reports.lock") == 404


def test_the_start_page_leads_a_browser_on_this_machine_to_flower(house: Install, worker: Process) -> None:
    if not any(process.name.startswith("web") for process in house.processes):
        house.web()

    links = html.fromstring(get(f"{house.web_url}/")).xpath("//a/@href")

    assert f"{house.flower_url}/" in links
