"""One trace per call, from the process that made it to the request that it sent; off without a collector."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from gatekeeper.run import tracing
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.traces.collector import Collector

PUBLISH = "traveller.send"


@pytest.fixture
def collector() -> Iterator[Collector]:
    started = Collector().start()
    yield started
    started.close()


@pytest.fixture
def traced(install: Install, collector: Collector) -> Install:
    """An installation that sends its spans to the collector soon."""
    install.env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    install.env |= {"TASK_MODULES": "traveller"}
    return install


def test_a_call_is_one_trace_from_the_door_to_the_request(
    traced: Install, collector: Collector, effects: EffectServer
) -> None:
    traced.worker()
    call = traced.call(PUBLISH, place="rome")
    assert traced.answer(call)["ok"]

    until(lambda: collector.named("attempt") and collector.named("register"), 15)
    found = {span.name: span for span in collector.spans}
    own = {f"register {PUBLISH}", "queue", "admit", f"attempt {PUBLISH}", "body", "begin effect", "effect", "settle"}
    assert own | {"http POST other"} == found.keys()
    assert {span.trace for span in collector.spans} == {found["body"].trace}
    root = found[f"register {PUBLISH}"]
    assert root.parent == ""
    assert {found[name].parent for name in ("queue", "admit", f"attempt {PUBLISH}")} == {root.span}
    assert found["http POST other"].parent == found["effect"].span
    assert found["effect"].parent == found["body"].span
    assert {found["body"].parent, found["settle"].parent} == {found[f"attempt {PUBLISH}"].span}
    assert found["http POST other"].attributes["http.response.status_code"] == 201
    assert root.attributes["gatehouse.call"] == call
    assert effects.count("travel:rome") == 1


def test_an_attempt_that_fails_says_so_without_the_words_of_its_error(traced: Install, collector: Collector) -> None:
    traced.worker()
    traced.delay("traveller.lose", {"what": "hunter2"})

    [body] = until(lambda: collector.named("body"), 15)

    assert body.failed
    assert "hunter2" not in repr(collector.spans)


def test_the_requests_of_the_exporter_are_not_those_of_an_effect_under_way(
    traced: Install, collector: Collector, effects: EffectServer
) -> None:
    effects.mode("refuse:401")
    traced.worker()
    traced.delay("traveller.send_slowly", {"place": "oslo"})

    until(lambda: traced.explain("slow:oslo")["state"] == "rejected", 20)

    until(lambda: collector.named("attempt"), 15, "the exporter to have sent the attempt")


def test_without_a_collector_nothing_of_the_sdk_is_loaded_and_a_step_costs_next_to_nothing(install: Install) -> None:
    loaded = install.json_of("""
        import json, sys
        app.tasks["counter.add"](a=1, b=2)
        print(json.dumps([name for name in sys.modules if name.startswith(("opentelemetry.exporter", "gatekeeper.run.spans"))]))
    """)
    assert loaded == []

    assert tracing._spans() is None
    began = time.perf_counter()
    for _ in range(10_000):
        with tracing.step("body"):
            pass
    assert (time.perf_counter() - began) / 10_000 < 20e-6
    assert "gatekeeper.run.spans" not in sys.modules
