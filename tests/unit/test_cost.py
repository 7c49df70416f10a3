"""The cost of a request to a model is what the provider reports, or an estimate from the texts of request and reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clients.llm import chat_completion, cost
from clients.llm.completion_error import CompletionError
from clients.llm.cost import Cost
from clients.llm.providers import Provider
from clients.llm.request_form import RequestForm
from tests.harness import patient
from tests.models.server import Behaviour, ModelServer, says, sends

EIGHT_BYTES = "12345678"


@pytest.mark.parametrize(
    ("usage", "reported"),
    [
        ({"total_tokens": 7, "prompt_tokens": 30}, 7),
        ({"prompt_tokens": 30, "completion_tokens": 12}, 42),
        ({"input_tokens": 30, "output_tokens": 12}, 42),
    ],
)
def test_what_is_reported_is_not_estimated(usage: Any, reported: int) -> None:
    assert cost.of(usage, EIGHT_BYTES) == Cost(reported)


@pytest.mark.parametrize(
    "usage",
    [
        None, [], "many", {}, {"total_tokens": 0}, {"total_tokens": -5}, {"total_tokens": True}, {"total_tokens": 1e300},
        {"total_tokens": 10_000_001}, {"prompt_tokens": True, "completion_tokens": 1}, {"completion_tokens": 3},
        {"prompt_tokens": 5000, "completion_tokens": -4999}, {"prompt_tokens": "30", "completion_tokens": 12},
    ],
)  # fmt: skip
def test_what_is_not_plausible_is_estimated(usage: Any) -> None:
    assert cost.of(usage, EIGHT_BYTES) == Cost(estimated=2)


@pytest.mark.parametrize(
    ("texts", "estimated"),
    [((), 0), (("",), 0), (("1",), 1), (("1234", "5"), 2), (("ä" * 4,), 2), (("\ud800",), 1)],
)
def test_a_token_is_counted_for_every_four_bytes_begun(texts: tuple[str, ...], estimated: int) -> None:
    assert cost.of(None, *texts) == Cost(estimated=estimated)


# A request whose two messages have eight bytes each, to a server that reports nothing


def spent(behaviour: Behaviour) -> Cost:
    server = ModelServer()
    server.will(behaviour)
    provider = Provider("groq", server.url, "key", "a-model", "15/minute", 100)
    try:
        return chat_completion.complete(provider, RequestForm(), EIGHT_BYTES, EIGHT_BYTES, patient(5)).cost
    except CompletionError as error:
        return error.cost
    finally:
        server.close()


def streamed(*chunks: Any, status: int = 200) -> Behaviour:
    return sends(status, b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), "text/event-stream")


def thought(text: str) -> Behaviour:
    message = {"role": "assistant", "content": None, "reasoning_content": text}
    return sends(200, {"choices": [{"message": message, "finish_reason": "stop"}]})


REFUSED = {"error": {"message": "rate limit exceeded"}}
PIECE = {"choices": [{"delta": {"content": EIGHT_BYTES}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("behaviour", "estimated"),
    [
        (says(EIGHT_BYTES, usage={}), 6),
        (says(EIGHT_BYTES, finish="length", usage={}), 6),
        (thought(EIGHT_BYTES), 6),
        (streamed(PIECE), 6),
        (streamed(PIECE, REFUSED), 6),
        (says("", usage={}), 4),
        (sends(429, REFUSED), 0),
        (streamed(REFUSED, status=429), 0),
        (streamed(REFUSED), 0),
        (sends(500, b"down"), 0),
    ],
    ids=[
        "a reply", "a reply that was cut off", "only reasoning", "a stream", "a stream that broke off", "an empty reply",
        "a refusal", "a refusal as a stream", "a refusal with status 200", "a failure",
    ],
)  # fmt: skip
def test_a_reply_is_estimated_whole_and_a_refusal_is_not(behaviour: Behaviour, estimated: int) -> None:
    assert spent(behaviour) == Cost(estimated=estimated)
