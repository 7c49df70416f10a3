"""The analyst answers on the best rung there is, and says which; a model that is down never stops it."""

from __future__ import annotations

import json
import socket
import threading

from tests.harness import patient, until
from tests.models.server import Handler, ModelServer, says, sends
from tests.work.agents import GROQ, MINIMAX, Agents

ANALYSIS = {"summary": "Visits are as they always were, and all agents work.", "findings": ["900 visits in 9 rows."]}


def test_an_analysis_says_its_rung_and_its_maker(helped: Agents, groq: ModelServer) -> None:
    groq.will(says(json.dumps(ANALYSIS)))

    answer = helped.run("tasks.analyst.collect")

    last = helped.fact("analyst", "last_analysis")
    assert answer["rung"] == "model"
    assert (last["rung"], last["by"], last["summary"]) == ("model", GROQ, ANALYSIS["summary"])
    assert last["unsupported_figures"] == []
    assert last["numbers"]["series"][0]["total"] == 900
    assert helped.fact("analyst", "analyses", last["at"][:10])["by"] == GROQ


def test_a_figure_that_a_model_made_up_is_named(helped: Agents, groq: ModelServer) -> None:
    groq.will(says(json.dumps({**ANALYSIS, "findings": ["Visits rose by 47 %."]})))

    assert helped.run("tasks.analyst.collect")["result"]["unsupported_figures"] == ["47"]


def test_when_one_model_fails_the_other_analyses(helped: Agents, groq: ModelServer, minimax: ModelServer) -> None:
    groq.will(sends(500))
    minimax.will(says(json.dumps(ANALYSIS)))

    result = helped.run("tasks.analyst.collect")["result"]

    assert (result["rung"], result["by"]) == ("model", MINIMAX)
    assert result["note"].startswith(f"{GROQ}: HTTP 500")


def test_what_the_agents_did_is_among_the_numbers(alone: Agents) -> None:
    alone.draft()
    alone.put("hello.md", "---\ntitle: Hello\npublish_at: 2026-11-01\n---\nWords.")
    alone.run("tasks.publisher.publish", post_id="hello", destination="feed")
    alone.run("tasks.publisher.publish", post_id="nobody-wrote-it", destination="feed")
    alone.shell.gate("pause", "publisher", "--why", "to be refused")
    alone.run("tasks.publisher.publish", post_id="another", destination="feed")

    alone.run("tasks.analyst.collect")

    numbers = alone.fact("analyst", "last_analysis")["numbers"]
    agents = {agent["agent"]: agent for agent in numbers["agents"]}
    publisher = agents["publisher"]
    assert (publisher["attempts"], publisher["done"], publisher["refused"], publisher["paused"]) == (2, 1, 2, True)
    assert publisher["totals"]["total_published"] == 1
    assert agents["writer"]["attempts"] == 1
    assert (numbers["posts"]["out"], numbers["posts"]["newest"]) == (1, "Hello")


def test_without_a_model_the_rules_analyse(alone: Agents) -> None:
    result = alone.run("tasks.analyst.collect")["result"]

    assert (result["rung"], result["by"]) == ("rules", "rules")
    assert "Shop, visits: 900 in 9 rows, 100 on average" in result["findings"][0]


def test_with_nothing_to_say_the_raw_numbers_are_kept_with_a_note(alone: Agents) -> None:
    (alone.install.content_dir / "shop.csv").unlink()

    answer = alone.run("tasks.analyst.collect")

    last = alone.fact("analyst", "last_analysis")
    assert (answer["rung"], last["rung"]) == ("raw", "raw")
    assert last["summary"] == "Analysis unavailable"
    assert last["note"].startswith("Analysis unavailable; ")
    assert last["numbers"]["series"] == []
    assert "Shop" in alone.fact("analyst", "broken_sources")


def test_numbers_too_large_to_add_up_are_a_broken_source(alone: Agents) -> None:
    alone.put("shop.csv", "day,visits\n1,1e308\n2,1e308\n3,1e308")

    assert alone.run("tasks.analyst.collect")["ok"]
    assert "OverflowError" in alone.fact("analyst", "broken_sources")["Shop"]


def test_models_that_are_switched_off_in_the_middle_leave_the_analysis_to_the_rules(
    doomed: tuple[Agents, ModelServer, ModelServer],
) -> None:
    agents, groq, minimax = doomed
    arrived, gone = threading.Event(), threading.Event()

    def die(handler: Handler) -> None:
        arrived.set()
        gone.wait(10)
        handler.connection.shutdown(socket.SHUT_RDWR)

    groq.will(die)
    call = agents.shell.delay("tasks.analyst.collect", {})[0]
    assert arrived.wait(patient(10))
    groq.close()
    minimax.close()
    gone.set()

    answer = agents.install.answer(call)
    assert (answer["rung"], answer["result"]["by"]) == ("rules", "rules")
    assert f"{GROQ}: no answer" in answer["result"]["note"]
    assert f"{MINIMAX}: no answer" in answer["result"]["note"]
    state = until(lambda: (seen := agents.install.state("analyst")).get("last_analysis") and seen, 5, "the state file")
    assert (state["last_analysis"]["rung"], state["metrics"]["total_analyses"]) == ("rules", 1)

    for _ in range(2):  # three failures in a row open the breakers
        agents.run("tasks.analyst.collect")
    skipped = agents.run("tasks.analyst.collect")["result"]["note"]
    assert f"{GROQ}: breaker open" in skipped
    assert f"{MINIMAX}: breaker open" in skipped
