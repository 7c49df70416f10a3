"""Against llmock, which has no interest in our being right: it answers as providers do, and judges its client."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.policies.policy import Rung
from tests.harness import until
from tests.models.conftest import GROQ, MINIMAX, Asker
from tests.models.llmock import Llmock
from tests.models.verdict import reply


@pytest.fixture
def asker(asker: Asker, mock: Llmock) -> Asker:
    """Both providers are llmock, in Groq's form and in OpenAI's."""
    asker.set(GROQ_URL=mock.groq, MINIMAX_URL=mock.openai)
    return asker


def good(**more: Any) -> dict[str, Any]:
    return {"type": "reply", "text": reply(), **more}


def fail(status: int, times: int | None = 1, **more: Any) -> dict[str, Any]:
    return {"type": "fail", "status": status, "times": times, "match": {"provider": "groq"}, **more}


def paths(mock: Llmock) -> list[str]:
    return ["groq" if "groq" in asked["path"] else "openai" for asked in mock.asked()]


def check_verdict(mock: Llmock) -> None:
    """No fault of ours. `gave_up` stands for going to the next model instead of asking again, which is on purpose."""
    verdict = mock.verdict()
    others = [finding for finding in verdict["findings"] if finding["code"] != "gave_up"]
    assert verdict["passed"], verdict
    assert others == []


def test_a_model_answers_and_its_tokens_are_counted(asker: Asker, mock: Llmock) -> None:
    mock.will(good())

    answered = asker.ask()

    assert (answered.rung, answered.by) == (Rung.MODEL, GROQ)
    assert answered.tokens > 0
    assert mock.verdict()["findings"] == []


def test_chatter_of_both_models_leads_to_the_rules(asker: Asker, mock: Llmock) -> None:
    assert asker.ask().rung == Rung.RULES

    assert paths(mock) == ["groq", "openai"]
    assert mock.verdict()["findings"] == []


def test_a_rate_limit_is_obeyed_to_its_end(asker: Asker, mock: Llmock) -> None:
    mock.will(fail(429, retry_after=4), good(times=None))

    makers = [asker.ask().by for _ in range(3)]
    until(lambda: asker.ask().by == GROQ, what="the pause to end")

    assert makers == [MINIMAX] * 3
    assert mock.asked()[0]["status"] == 429
    check_verdict(mock)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_no_repetition_mends_is_not_repeated(asker: Asker, mock: Llmock, status: int) -> None:
    mock.will(fail(status), good(times=None))

    makers = [asker.ask().by for _ in range(4)]

    assert makers == [MINIMAX] * 4
    assert paths(mock) == ["groq"] + ["openai"] * 4
    check_verdict(mock)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_model_that_is_down_is_skipped_and_comes_back(asker: Asker, mock: Llmock, status: int) -> None:
    mock.will(fail(status, times=3), good(times=None))

    down = [asker.ask(f"question {number}").by for number in range(6)]
    asked_while_down = paths(mock).count("groq")
    asker.pass_time("open_until_ms", "not_before_ms")
    until(lambda: asker.ask().by == GROQ, what="the model to come back")

    assert down == [MINIMAX] * 6
    assert asked_while_down <= 3
    check_verdict(mock)


def test_a_model_that_stalls_is_left_after_the_timeout(asker: Asker, mock: Llmock) -> None:
    asker.set(HTTP_TIMEOUT="2")  # enough for the one that does not stall
    mock.will({"type": "delay", "seconds": 6, "match": {"provider": "groq"}}, good(times=None))

    assert asker.ask().by == MINIMAX
    check_verdict(mock)


#: Every provider of llmock that speaks chat completions, each with its own form of an answer and of an error.
SPEAKERS = ["ai21/v1", "groq/openai/v1", "mistral/v1", "perplexity/v1", "together/v1", "v1", "xai/v1"]


@pytest.mark.parametrize("path", SPEAKERS)
def test_every_provider_is_understood_and_its_errors_are_told_in_its_words(
    asker: Asker, mock: Llmock, path: str
) -> None:
    asker.set(GROQ_URL=f"{mock.url}/{path}", MINIMAX_API_KEY="")
    makers: list[str] = []
    for behaviour in (
        {"type": "fail", "status": 500, "message": "the machine is on fire"},
        good(),
        {"type": "fail", "status": 401, "message": "this key is not known"},
    ):
        mock.will(behaviour)
        makers.append(asker.ask(f"question {len(makers)}").by)
        asker.pass_time("not_before_ms")  # llmock asks for a pause with each 500

    assert makers == ["rules", GROQ, "rules"]
    told = [line for line in asker.told if line["by"] == GROQ]
    assert [line.get("said") for line in told] == ["the machine is on fire", None, "this key is not known"]
    assert "GROQ_API_KEY" in told[2]["hint"]
    assert told[1]["tokens"] > 0


@pytest.mark.parametrize("path", SPEAKERS)
def test_every_provider_is_asked_once_more_without_a_parameter_that_it_refuses(
    asker: Asker, mock: Llmock, path: str
) -> None:
    asker.set(GROQ_URL=f"{mock.url}/{path}", MINIMAX_API_KEY="")
    mock.will(
        {"type": "fail", "status": 400, "message": "response_format is not supported", "code": "unsupported_parameter"},
        good(times=None),
    )

    makers = [asker.ask(f"question {number}").by for number in range(3)]

    assert makers == [GROQ] * 3
    assert [asked["status"] for asked in mock.asked()] == [400, 200, 200, 200]
    check_verdict(mock)


def test_what_a_model_says_instead_of_an_answer_leads_to_the_next(asker: Asker, mock: Llmock) -> None:
    call = {"name": "publish", "arguments": {"title": "x"}}
    mock.will(
        {"type": "reply", "tool_calls": [call], "match": {"provider": "groq"}},
        {"type": "reply", "text": reply(), "finish_reason": "length", "match": {"provider": "groq"}},
        {"type": "reply", "text": reply(), "finish_reason": "content_filter", "match": {"provider": "groq"}},
        {"type": "reply", "text": f"<THINK>{reply()}", "match": {"provider": "groq"}},
        {"type": "reply", "text": f"</think>```JSON\n{reply()}\n```", "match": {"provider": "groq"}},
        good(times=None),
    )

    makers = [asker.ask(f"question {number}").by for number in range(5)]

    assert makers == [MINIMAX] * 4 + [GROQ]
    check_verdict(mock)
