"""The odd bodies of a dozen servers, as their users report them (tests/data/model_replies), each with its right reading."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest

import settings
from clients.llm import providers, request_form, response
from clients.llm.completion_error import CompletionError
from gatekeeper.policies.policy import Rung
from state.limits import ProviderKeys
from state.redis import client
from tests.models.conftest import GROQ, KEY, MINIMAX, Asker
from tests.models.server import HTML, Behaviour, ModelServer, says, sends
from tests.models.verdict import Verdict, reply

Row = dict[str, Any]


def rows(name: str) -> list[Any]:
    path = settings.ROOT / "tests" / "data" / "model_replies" / f"{name}.json"
    return [pytest.param(row, id=row["from"]) for row in json.loads(path.read_text("utf-8"))]


def sent(row: Row) -> Behaviour:
    if "text" in row:
        return sends(row["status"], row["text"].encode(), HTML)
    return sends(row.get("status", 200), row["body"])


@pytest.mark.parametrize("row", rows("errors"))
def test_an_error_is_told_in_the_words_of_the_provider_and_counts_as_what_it_is(
    asker: Asker, groq: ModelServer, minimax: ModelServer, row: Row
) -> None:
    groq.will(sent(row))
    minimax.will(says(reply()))

    first = asker.ask("the question")
    makers = [first.by, asker.ask("the question").by, asker.ask("another question").by]

    told, later = asker.told[0], [line["why"] for line in asker.told if line["outcome"] == "skipped"]
    if row["outcome"] == "barred":
        assert {why.removeprefix("breaker open: ") for why in later if "breaker" in why} == {
            ": ".join(filter(None, [told["why"], row["said"]]))
        }
    assert (makers, told["by"], told["outcome"], told.get("said", "")) == ([MINIMAX] * 3, GROQ, "failed", row["said"])
    assert row["hint"] in told.get("hint", "")
    assert first.note == ": ".join(filter(None, [GROQ, told["why"], row["said"]]))
    assert len(groq.asked) == {"failed": 3, "refused": 2, "barred": 1, "later": 1}[row["outcome"]]


@pytest.mark.parametrize("row", rows("refused_parameters"))
def test_a_request_is_sent_once_more_without_the_parameter_that_was_refused(
    asker: Asker, groq: ModelServer, minimax: ModelServer, row: Row
) -> None:
    groq.will(sent(row), says(reply()))

    makers = [asker.ask(f"question {number}").by for number in range(3)]

    first, second, *later = [asked.body for asked in groq.asked]
    assert (makers, minimax.asked, len(later)) == ([GROQ] * 3, [], 2)  # remembered: every other question is sent once
    gone = (first.keys() - second.keys()) | ({"system"} if len(second["messages"]) == 1 else set())
    assert gone == set(row["without"])
    assert second.keys() - first.keys() == set(row["with"])
    assert [body.keys() for body in later] == [second.keys()] * 2
    failed, answered = asker.told[:2]
    assert (failed["outcome"], answered["outcome"]) == ("failed", "answered")
    assert failed["hint"].startswith("asked once more with")
    assert (answered["tokens"], "said" in failed) == (42, True)


@pytest.mark.parametrize("row", rows("replies"))
def test_a_sound_answer_is_used_in_whatever_it_is_wrapped_and_nothing_else_is(
    asker: Asker, groq: ModelServer, minimax: ModelServer, row: Row
) -> None:
    groq.will(sent(row))
    minimax.will(says(reply()))

    answered = asker.ask()

    assert answered.by == (MINIMAX if row["why"] else GROQ)
    assert asker.told[0].get("why") == row["why"]
    assert answered.value.mood == "good"
    assert "\0" not in answered.value.title


def test_a_backslash_before_the_name_of_a_zero_stays(asker: Asker, groq: ModelServer) -> None:
    groq.will(says(reply(title="C:\\u0000\\")))

    assert asker.ask().value.title == "C:\\u0000\\"


@pytest.mark.parametrize(
    "part",
    ["{", '{"', '{"a":', "[", "[[", "<think>", "</think>", "</think>{", ",]", '"', "\\", '",', "{}", '{"a":1,}', "< /"],
)
def test_no_reply_takes_long_to_read(part: str) -> None:
    text = (part * 200_000)[:200_000]
    started = time.process_time()

    for each in (text, f"<think>{text}", f"{text}</think>", reply() + text):
        with contextlib.suppress(CompletionError):
            response.read(each[:200_000], Verdict)

    assert time.process_time() - started < 5


# What is sent again


REFUSES_JSON = sends(400, {"error": {"message": "response_format is not supported"}})


def test_the_second_request_needs_a_place_in_the_rate_of_its_own(
    asker: Asker, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(REFUSES_JSON, says(reply()))
    minimax.will(says(reply()))
    provider = providers.configured()[0]
    used = client.now_ms(client.client()) + (provider.limits.burst - 1) * provider.limits.every_ms
    client.client().hset(ProviderKeys(provider.identity).record, "tat_ms", used)  # one place is left

    maker = asker.ask().by

    assert maker == MINIMAX
    assert len(groq.asked) == 1
    assert (GROQ, "skipped", "our own rate is used up") in asker.rungs


def test_tokens_of_both_requests_are_counted(asker: Asker, groq: ModelServer) -> None:
    refusal = {"error": {"message": "response_format is not supported"}, "usage": {"total_tokens": 5}}
    groq.will(sends(400, refusal), says(reply()))

    assert asker.ask().tokens == 47
    assert [line["tokens"] for line in asker.told] == [5, 42]


def test_a_refused_parameter_is_not_a_failure_of_the_provider(asker: Asker, groq: ModelServer) -> None:
    groq.will(sends(500), sends(500), REFUSES_JSON, sends(500), says(reply()))

    makers = [asker.ask(f"question {number}").rung for number in range(4)]

    assert makers[3] == Rung.MODEL  # the refusal as a third failure in a row would have opened the breaker
    assert len(groq.asked) == 5


def test_parameters_that_are_refused_one_after_the_other_are_left_out_one_after_the_other(
    asker: Asker, groq: ModelServer
) -> None:
    groq.will(
        REFUSES_JSON,
        sends(400, {"error": {"message": "Use 'max_completion_tokens' instead of 'max_tokens'"}}),
        sends(400, {"error": {"message": "max_completion_tokens: unknown"}}),
        sends(400, {"error": {"message": "temperature: unknown"}}),
        says(reply()),
    )

    assert [asker.ask().by, asker.ask().by] == [GROQ, GROQ]
    assert [sorted(asked.body) for asked in groq.asked[3:]] == [
        ["messages", "model", "temperature"],
        ["messages", "model"],
        ["messages", "model"],
    ]


def test_a_server_that_refuses_what_was_left_out_is_not_asked_for_ever(
    asker: Asker, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(REFUSES_JSON)
    minimax.will(says(reply()))

    assert [asker.ask("one").by, asker.ask("one").by] == [MINIMAX, MINIMAX]
    assert len(groq.asked) == 2
    assert asker.told[1]["hint"].startswith("groq is not asked this again for an hour")


def test_a_parameter_is_remembered_only_when_the_server_answered_without_it(
    asker: Asker, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(REFUSES_JSON, sends(500), says(reply()))
    minimax.will(says(reply()))

    assert [asker.ask("one").by, asker.ask("two").by] == [MINIMAX, GROQ]
    assert "response_format" in groq.asked[2].body


def test_another_model_of_the_same_provider_is_asked_with_every_parameter(asker: Asker, groq: ModelServer) -> None:
    groq.will(REFUSES_JSON, says(reply()))
    asker.ask()

    asker.set(GROQ_MODEL="another")
    asker.ask()

    assert ["response_format" in asked.body for asked in groq.asked] == [True, False, True]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch, asker: Asker, groq: ModelServer) -> None:
    monkeypatch.setattr(request_form, "MAX_KNOWN", 2)
    for number in range(5):
        groq.will(REFUSES_JSON, says(reply()))
        asker.set(GROQ_MODEL=f"model {number}")
        asker.ask()

        assert 1 <= len(request_form._known) <= 2


def test_without_a_system_role_the_instructions_stand_before_the_prompt(asker: Asker, groq: ModelServer) -> None:
    groq.will(sends(400, {"error": {"message": "system role is not supported"}}), says(reply()))

    asker.ask("the material")

    (message,) = groq.asked[1].body["messages"]
    assert message["role"] == "user"
    assert message["content"] == f"{groq.asked[0].system}\n\nThe next message begins here:\n\nthe material"


# Streams that nobody asked for


def streamed(*chunks: Any, end: str = "data: [DONE]\n\n", begin: str = ": keep-alive\n\n") -> Behaviour:
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return sends(200, f"{begin}{events}{end}".encode(), "text/event-stream")


def piece(text: str | None, finish: str | None = None) -> Any:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


@pytest.mark.parametrize("begin", ["", ": keep-alive\n\n", ":\n\n", "event: message\n", "id: 1\n", "retry: 1000\n\n"])
def test_a_completion_that_is_streamed_unasked_is_joined(asker: Asker, groq: ModelServer, begin: str) -> None:
    usage = {"choices": [], "usage": {"total_tokens": 42}}
    chunks = [piece(None), piece(reply()[:30]), piece(reply()[30:]), piece(None, "stop"), usage]
    groq.will(streamed(*chunks, begin=begin))

    assert (asker.ask().by, asker.told[0]["tokens"]) == (GROQ, 42)


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (streamed(piece(reply()[:30]), end=""), "the reply is not JSON"),
        (streamed(piece(reply(), "length")), "the reply was cut off at max_tokens"),
        (streamed(piece("{"), {"error": {"message": "it broke"}}), "the answer is not a chat completion"),
        (streamed(), "an empty reply"),
        (sends(200, b"data: {broken\n\n", "text/event-stream"), "the answer is not a chat completion"),
    ],
)
def test_a_stream_that_is_not_whole_is_not_an_answer(
    asker: Asker, groq: ModelServer, minimax: ModelServer, behaviour: Behaviour, why: str
) -> None:
    groq.will(behaviour)
    minimax.will(says(reply()))

    assert (asker.ask().by, asker.told[0]["why"]) == (MINIMAX, why)


# Words


def test_the_words_of_a_provider_are_shortened_and_hold_no_secret(
    asker: Asker, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(sends(500, {"detail": f"{KEY} is wrong\n\u202e{'x' * 5000}"}))
    minimax.will(says(reply()))

    asker.ask()

    said = asker.told[0]["said"]
    assert said.startswith("[hidden] is wrong ")
    assert len(said) <= 200
    assert KEY not in asker.logged


def test_words_that_quote_the_question_do_not_bar_the_provider(
    asker: Asker, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(sends(400, {"error": {"message": f"The prompt {'x' * 300} invalid API key, insufficient balance"}}))
    minimax.will(says(reply()))

    for number in range(3):
        asker.ask(f"question {number}")

    assert len(groq.asked) == 3


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 30, "completion_tokens": 12}, 42),
        ({"input_tokens": 30, "output_tokens": 12}, 42),
        ({"total_tokens": 7, "prompt_tokens": 30}, 7),
        (None, 0),
    ],
)
def test_tokens_are_counted_in_whatever_way_a_server_tells_them(
    asker: Asker, groq: ModelServer, usage: Any, tokens: int
) -> None:
    body = {"choices": [{"message": {"content": reply()}}], "usage": usage}
    groq.will(sends(200, body))

    assert (asker.ask().rung, asker.told[0]["tokens"]) == (Rung.MODEL, tokens)


def test_a_body_may_begin_with_a_byte_order_mark(asker: Asker, groq: ModelServer) -> None:
    body = json.dumps({"choices": [{"message": {"content": reply()}}]})
    groq.will(sends(200, b"\xef\xbb\xbf" + body.encode()))

    assert asker.ask().rung == Rung.MODEL
