"""From model to model, to rules, to raw: who answers, and what of it is told, counted and kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clients.llm import fallback
from gatekeeper.policies.policy import Rung
from tests.harness import Valkey, within
from tests.models.conftest import GROQ, KEY, MINIMAX, Asker
from tests.models.server import ModelServer, says, sends
from tests.models.verdict import GOOD, RAW, RULES, Verdict, reply

# Who answers


def test_the_first_model_answers_and_nobody_else_is_asked(
    asker: Asker, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(says(reply()))

    answered = asker.ask()

    assert answered.value == Verdict.model_validate(GOOD)
    assert (answered.rung, answered.by, answered.tokens, answered.note) == (Rung.MODEL, GROQ, 42, None)
    assert minimax.asked == []
    assert asker.rungs == [(GROQ, "answered", "")]


def test_what_is_sent_is_a_chat_completion_with_the_key_the_schema_and_a_limit(asker: Asker, groq: ModelServer) -> None:
    groq.will(says(reply()))

    asker.ask("the material")

    (asked,) = groq.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body["model"] == "llama-3.3-70b-versatile"
    assert asked.body["messages"][1] == {"role": "user", "content": "the material"}
    assert asked.body["response_format"] == {"type": "json_object"}
    assert asked.body["max_tokens"] > 0
    assert asked.body["temperature"] < 1
    assert asked.system.startswith("Judge the material.")
    assert json.dumps(Verdict.model_json_schema()) in asked.system


def test_the_second_model_answers_when_the_first_cannot(asker: Asker, groq: ModelServer, minimax: ModelServer) -> None:
    groq.will(sends(500))
    minimax.will(says(reply()))

    answered = asker.ask()

    assert (answered.rung, answered.by) == (Rung.MODEL, MINIMAX)
    assert answered.note == f"{GROQ}: HTTP 500"
    assert asker.rungs == [(GROQ, "failed", "HTTP 500"), (MINIMAX, "answered", "")]


def test_the_rules_answer_when_no_model_does(asker: Asker, groq: ModelServer, minimax: ModelServer) -> None:
    groq.close()
    minimax.will(sends(500))

    answered = asker.ask()

    assert (answered.value, answered.rung, answered.by) == (RULES, Rung.RULES, "rules")
    assert [by for by, _, _ in asker.rungs] == [GROQ, MINIMAX, "rules"]


def broken() -> Verdict:
    raise KeyError("nobody thought of this")


@pytest.mark.parametrize("rules", [None, lambda: None, broken], ids=["none", "knowing nothing", "broken"])
def test_raw_data_is_what_is_left_without_rules(
    asker: Asker, groq: ModelServer, minimax: ModelServer, rules: Any
) -> None:
    groq.will(sends(500))
    minimax.will(sends(500))

    answered = asker.ask(rules=rules)

    assert (answered.value, answered.rung, answered.by) == (RAW, Rung.RAW, "raw")
    assert answered.note


def test_what_raw_raises_is_the_callers_own(asker: Asker) -> None:
    asker.set(GROQ_API_KEY="", MINIMAX_API_KEY="")

    with pytest.raises(KeyError):
        fallback.ask(fallback.Question("", "", Verdict), rules=None, raw=broken)


@pytest.mark.parametrize("left_out", ["GROQ", "MINIMAX"])
def test_a_provider_without_a_key_is_left_out(
    asker: Asker, groq: ModelServer, minimax: ModelServer, left_out: str
) -> None:
    asker.set(**{f"{left_out}_API_KEY": ""})
    for server in (groq, minimax):
        server.will(says(reply()))

    assert asker.ask().by == (MINIMAX if left_out == "GROQ" else GROQ)
    assert len(groq.asked) + len(minimax.asked) == 1


def test_without_any_key_the_rules_answer_and_say_so(asker: Asker) -> None:
    asker.set(GROQ_API_KEY="", MINIMAX_API_KEY="")

    answered = asker.ask()

    assert (answered.rung, answered.note) == (Rung.RULES, "models: none has an API key")


def test_a_url_that_leads_to_chat_completions_is_taken_as_it_is(asker: Asker, groq: ModelServer) -> None:
    groq.will(says(reply()))
    for url in (f"{groq.url}/chat/completions", f"{groq.url}/chat/completions/", f"{groq.url}/"):
        asker.set(GROQ_URL=url)
        assert asker.ask().rung == Rung.MODEL

    assert {asked.path for asked in groq.asked} == {"/v1/chat/completions"}


# Redis, secrets, numbers


def test_without_redis_no_model_is_asked_and_the_rules_answer(
    asker: Asker, groq: ModelServer, minimax: ModelServer
) -> None:
    asker.set(REDIS_URL="redis://127.0.0.1:1/0")

    with within(5):
        answered = asker.ask()

    assert (answered.rung, answered.note) == (Rung.RULES, "models: Redis does not answer")
    assert groq.asked == minimax.asked == []


def test_an_answer_stands_when_redis_goes_away_meanwhile(
    asker: Asker, groq: ModelServer, fragile_valkey: Valkey
) -> None:
    asker.set(REDIS_URL=fragile_valkey.url)

    def behave(handler: Any) -> None:
        fragile_valkey.stop()
        says(reply())(handler)

    groq.will(behave)

    assert asker.ask().rung == Rung.MODEL
    assert "report lost" in asker.logged


def test_no_key_is_logged_or_kept_in_redis(
    asker: Asker, groq: ModelServer, minimax: ModelServer, valkey: Valkey
) -> None:
    groq.will(sends(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}))
    minimax.will(says(reply()))

    answered = asker.ask()

    redis = valkey.client()
    kept = {key: redis.hgetall(key) for key in redis.scan_iter()}
    assert kept
    assert KEY not in asker.logged + str(answered) + str(kept)


@pytest.mark.parametrize(
    "usage", [{}, [], {"total_tokens": -5}, {"total_tokens": "many"}, {"total_tokens": 1e300}, {"total_tokens": True}]
)
def test_a_count_of_tokens_that_makes_no_sense_counts_as_none(asker: Asker, groq: ModelServer, usage: Any) -> None:
    groq.will(says(reply(), usage=usage))

    answered = asker.ask()

    assert (answered.rung, answered.tokens) == (Rung.MODEL, 0)


def test_tokens_of_replies_that_were_no_answer_are_counted_too(
    asker: Asker, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(says("prose"))
    minimax.will(says("prose"))

    answered = asker.ask()

    assert (answered.rung, answered.tokens) == (Rung.RULES, 84)
