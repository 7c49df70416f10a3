"""`GET /metrics` of a running installation, read as Prometheus reads it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from urllib.error import HTTPError

import pytest

from state.redis.keys import Keys
from tests.conftest import a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until
from tests.metrics.scrape import Scrape, fetch, scrape

ADD, STORY, FAIL, FRAGILE, CAPPED, SPENDING = (
    "counter.add",
    "storyteller.publish",
    "counter.fail",
    "counter.fragile",
    "counter.capped",
    "counter.spending",
)


@pytest.fixture
def house(install: Install) -> Install:
    """An installation whose web process runs."""
    install.web()
    return install


def test_calls_are_counted_by_task_and_outcome_with_their_durations(house: Install) -> None:
    house.worker()
    calls = house.delay(ADD, {"a": 1, "b": 2}, {"a": 3, "b": 4}) + house.delay(FAIL, {"times": 9})
    house.results(calls[:2])

    found = until(lambda: _when(scrape(house.web_url), "gatehouse_calls_total", task=FAIL, outcome="retried"))

    assert found.value("gatehouse_calls_total", agent="counter", task=ADD, outcome="done") == 2
    assert found.value("gatehouse_run_seconds_bucket", task=ADD, le="+Inf") == 2
    assert found.value("gatehouse_queue_wait_seconds_bucket", task=ADD, le="+Inf") == 2
    assert found.value("gatehouse_processes", kind="worker") == 1
    assert found.value("gatehouse_up") == 1


def test_what_the_gate_refuses_is_counted_by_task_and_stage(house: Install) -> None:
    house.worker()
    house.gate("pause", "counter", "--why", "for a test")
    [call] = house.delay(ADD, {"a": 1, "b": 2})
    assert house.answer(call)["stage"] == "paused"

    found = scrape(house.web_url)

    assert found.value("gatehouse_refusals_total", agent="counter", task=ADD, stage="paused") == 1
    assert found.value("gatehouse_paused", agent="counter", by="person") == 1
    assert found.value("gatehouse_paused", agent="counter", by="cap") == 0
    until(lambda: house.state("counter")["metrics"]["refused_paused"] == 1)
    assert not [name for name in house.state("counter")["metrics"] if " " in name]


def test_a_budget_shows_what_is_spent_and_what_it_refused(house: Install) -> None:
    house.worker()
    for tokens in (60, 60):
        [call] = house.delay(SPENDING, {"tokens": tokens})
        assert house.answer(call)["ok"]
    [late] = house.delay(SPENDING, {"tokens": 1})
    refused = house.answer(late)
    assert (refused["stage"], refused["error"]) == ("budget", "budget used up")

    found = scrape(house.web_url)

    assert found.value("gatehouse_budget_used", agent="counter", task=SPENDING, rule="100 tokens/day") == 120
    assert found.value("gatehouse_budget_limit", agent="counter", task=SPENDING, rule="100 tokens/day") == 100
    assert found.value("gatehouse_tokens_total", agent="counter", provider="own") == 120
    assert found.value("gatehouse_refusals_total", agent="counter", task=SPENDING, stage="budget") == 1


def test_an_effect_in_doubt_is_shown_with_its_age(house: Install, effects: EffectServer) -> None:
    effects.mode("apply_then_drop")
    house.worker()
    house.delay(STORY, {"post_id": "lost"})

    found = until(lambda: _when(scrape(house.web_url), "gatehouse_held", agent="storyteller", state="unknown"), 20)

    assert found.value("gatehouse_held", agent="storyteller", state="unknown") == 1
    age = until(
        lambda: scrape(house.web_url).value("gatehouse_held_oldest_seconds", state="unknown", agent="storyteller")
    )
    assert 0 < age < 600
    assert found.value("gatehouse_held", agent="storyteller", state="held") == 0
    assert (found.value("gatehouse_journal_bytes") or 0) > 0


def test_a_scraper_that_asks_for_openmetrics_gets_it(house: Install) -> None:
    text, media_type = fetch(house.web_url, Accept="application/openmetrics-text; version=1.0.0")

    assert media_type.startswith("application/openmetrics-text")
    assert text.rstrip().endswith("# EOF")


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing_wrong_with_the_page(house: Install) -> None:
    house.worker()
    house.results(house.delay(ADD, {"a": 1, "b": 2}))

    done = subprocess.run(
        ["promtool", "check", "metrics"], input=fetch(house.web_url)[0], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout + done.stderr


def test_a_scrape_looks_at_no_key_one_by_one(house: Install, valkey: Valkey) -> None:
    scrape(house.web_url)
    few = _cost(house, valkey)

    with valkey.client().pipeline(transaction=False) as pipe:
        for number in range(5_000):
            pipe.hset(Keys("counter").key(f"before-{number}"), mapping={"state": "done", "result": "0"})
            entry = {"key": f"held-{number}", "state": "unknown", "since": 1_764_482_000_000, "why": "read timed out"}
            pipe.hset(Keys("counter").held, f"held-{number}", json.dumps(entry))
        pipe.execute()
    many = _cost(house, valkey)

    assert scrape(house.web_url).value("gatehouse_held", agent="counter", state="unknown") == 5_000
    asks = {"cmdstat_hgetall", "cmdstat_hmget", "cmdstat_hvals", "cmdstat_zrange", "cmdstat_zcard", "cmdstat_hget"}
    assert {name: many[name] for name in asks if name in many} == {name: few[name] for name in asks if name in few}
    assert not {"cmdstat_scan", "cmdstat_keys"} & {name for name, number in many.items() if number}


def test_the_library_is_loaded_with_the_first_scrape_only(install: Install) -> None:
    loaded = install.json_of("""
        import json, sys
        import web.app
        print(json.dumps("prometheus_client" in sys.modules))
    """)

    assert loaded is False


def _cost(house: Install, server: Valkey) -> dict[str, int]:
    """Return how often a scrape runs each command: the least of three, because the web process also reports its host."""
    counted = [_commands(server)]
    for _ in range(3):
        scrape(house.web_url)
        counted.append(_commands(server))
    least = {
        name: min(after.get(name, 0) - before.get(name, 0) for before, after in pairwise(counted))
        for name in counted[-1]
    }
    return {name: number for name, number in least.items() if number}


def _commands(server: Valkey) -> dict[str, int]:
    """How often each command ran so far."""
    return {name: int(figures["calls"]) for name, figures in server.client().info("commandstats").items()}


def test_another_machine_needs_a_token_that_may_read(install: Install) -> None:
    install.env["API_TOKENS"] = "prometheus:s3cret-of-a-scraper:read clerk:s3cret-of-a-clerk:counter.*"
    install.web()
    elsewhere = {"X-Forwarded-For": "203.0.113.7"}

    assert _status(install, elsewhere) == 401
    assert _status(install, elsewhere | {"Authorization": "Bearer s3cret-of-a-clerk"}) == 403
    assert "gatehouse_up 1" in fetch(install.web_url, **elsewhere, Authorization="Bearer s3cret-of-a-scraper")[0]


def _status(install: Install, headers: dict[str, str]) -> int:
    """What a scrape with these headers is refused with."""
    with pytest.raises(HTTPError) as refused:
        fetch(install.web_url, **headers)
    with refused.value:
        assert b"gatehouse_up" not in refused.value.read()
        return refused.value.code


def test_an_open_breaker_and_the_use_of_a_cap_are_shown_by_task(house: Install) -> None:
    house.worker()
    house.delay(FRAGILE, *[{"works": False}] * 3)
    house.answer(house.delay(CAPPED, {"n": 1})[0])

    found = until(lambda: _when(scrape(house.web_url), "gatehouse_breakers_open", task=FRAGILE), 20)

    assert found.value("gatehouse_breakers_open", agent="counter", task=FRAGILE) == 1
    assert found.value("gatehouse_cap_used", agent="counter", task=CAPPED, rule="2/day") == 1
    assert found.value("gatehouse_cap_limit", agent="counter", task=CAPPED, rule="2/day") == 2


def test_a_redis_that_is_away_is_an_answer_with_up_zero(install_on: Callable[[Valkey], Install]) -> None:
    server = a_valkey()
    try:
        house = install_on(server)
        house.web()
        server.stop()

        found = scrape(house.web_url)

        assert found.value("gatehouse_up") == 0
        assert "gatehouse_calls_open" not in found.text
        assert (found.value("gatehouse_disk_free_bytes") or 0) > 0
    finally:
        server.close()


def _when(page: Scrape, name: str, **labels: str) -> Scrape | None:
    """The page, once it has this sample with a value."""
    return page if page.value(name, **labels) else None
