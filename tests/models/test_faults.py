"""Providers that do not work, want a pause or let nobody in: what is asked of them then, counted at their door."""

from __future__ import annotations

import time

import pytest

from clients.llm import fallback, providers
from gatekeeper.policies.policy import Rung
from state.redis import client
from tests.harness import until, within
from tests.models.conftest import GROQ, MINIMAX, Asker
from tests.models.server import (
    HTML,
    Behaviour,
    ModelServer,
    breaks_off,
    completion,
    drips_its_body,
    drips_its_headers,
    says,
    sends,
)
from tests.models.verdict import reply

# Providers that do not work

BROKEN: dict[str, Behaviour] = {
    "status 500": sends(500, {"error": {"message": "oops"}}),
    "status 502 in HTML": sends(502, b"<html>bad gateway</html>", HTML),
    "status 408": sends(408),
    "HTML with status 200": sends(200, b"<html>Log in to this network</html>", HTML),
    "an error with status 200": sends(200, {"error": {"message": "overloaded"}}),
    "an error beside an answer": sends(200, completion(reply()) | {"error": {"message": "overloaded"}}),
    "MiniMax's error with status 200": sends(200, {"base_resp": {"status_code": 1000, "status_msg": "unknown"}}),
    "no choices": sends(200, {"choices": []}),
    "choices of a wrong kind": sends(200, {"choices": {"message": "x"}}),
    "a number": sends(200, 42),
    "nothing": sends(200, b""),
    "bytes": sends(200, b"\xff\xfe\x00\x01"),
    "a body cut short": breaks_off(reply()),
    "a body of 11 MB": sends(200, b" " * 11_000_000, HTML),
    "JSON that never ends": sends(200, b"[" * 1_000_000),
    "status 204": sends(204, b""),
}


@pytest.mark.parametrize("behaviour", BROKEN.values(), ids=BROKEN)
def test_a_provider_that_does_not_work_is_asked_three_times_and_then_by_nobody(
    asker: Asker, groq: ModelServer, minimax: ModelServer, behaviour: Behaviour
) -> None:
    groq.will(behaviour)
    minimax.will(says(reply()))

    answers = [asker.ask(f"question {number}") for number in range(5)]

    assert {answered.by for answered in answers} == {MINIMAX}
    assert len(groq.asked) == 3
    assert [outcome for by, outcome, _ in asker.rungs if by == GROQ] == ["failed"] * 3 + ["skipped"] * 2


def test_after_the_cooldown_one_good_probe_brings_a_model_back(
    asker: Asker, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(sends(500), sends(500), sends(500), says(reply()))
    minimax.will(says(reply()))
    for _ in range(4):
        asker.ask()

    asker.pass_time("open_until_ms")

    assert [asker.ask().by for _ in range(2)] == [GROQ, GROQ]
    assert len(groq.asked) == 5


def test_a_bad_probe_closes_the_way_again(asker: Asker, groq: ModelServer, minimax: ModelServer) -> None:
    groq.will(sends(500))
    minimax.will(says(reply()))
    for _ in range(3):
        asker.ask()

    asker.pass_time("open_until_ms")
    for _ in range(3):
        asker.ask()

    assert len(groq.asked) == 4


@pytest.mark.parametrize("drips", [drips_its_body, drips_its_headers])
def test_a_provider_that_drips_holds_nobody_longer_than_the_timeout(
    asker: Asker, groq: ModelServer, minimax: ModelServer, drips: Behaviour
) -> None:
    asker.set(HTTP_TIMEOUT="2")  # enough for the one that works
    groq.will(drips)
    minimax.will(says(reply()))

    with within(5):
        answered = asker.ask()

    assert answered.by == MINIMAX


def test_all_models_together_have_a_time_limit(
    asker: Asker, groq: ModelServer, minimax: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback, "LADDER_SECONDS", 1.2)
    groq.will(drips_its_body)

    started = time.monotonic()
    with within(4):
        answered = asker.ask()

    assert answered.rung == Rung.RULES
    assert time.monotonic() - started >= 1  # the whole budget for the first, which leaves none for the second
    assert minimax.asked == []
    assert (MINIMAX, "skipped", "no time is left") in asker.rungs


# Not before then


@pytest.mark.parametrize("status", [429, 503])
def test_a_provider_that_wants_a_pause_is_not_asked_before_its_end(
    asker: Asker, groq: ModelServer, minimax: ModelServer, status: int
) -> None:
    groq.will(sends(status, retry_after="4"), says(reply()))
    minimax.will(says(reply()))

    started = time.monotonic()
    first = asker.ask()  # nobody waits for it
    second = asker.ask()

    assert (first.by, second.by, len(groq.asked)) == (MINIMAX, MINIMAX, 1)
    until(lambda: asker.ask().by == GROQ, what="the pause to end")
    assert time.monotonic() - started >= 4
    assert len(groq.asked) == 2


def test_a_pause_may_end_at_a_date(asker: Asker, groq: ModelServer, minimax: ModelServer) -> None:
    groq.will(sends(429, retry_after="Wed, 21 Oct 2099 07:28:00 GMT"))
    minimax.will(says(reply()))

    for _ in range(2):
        asker.ask()

    (skipped,) = [line for line in asker.told if line["outcome"] == "skipped"]
    assert skipped["why"] == "it asked for a pause"
    assert skipped["retry_after"] == pytest.approx(24 * 3600, abs=60)  # the longest that is believed
    assert len(groq.asked) == 1


def test_too_many_requests_without_a_pause_means_a_minute(
    asker: Asker, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(sends(429))
    minimax.will(says(reply()))

    for _ in range(2):
        asker.ask()

    assert asker.told[-2]["retry_after"] == pytest.approx(60, abs=5)


def test_a_pause_is_no_failure(asker: Asker, groq: ModelServer, minimax: ModelServer) -> None:
    groq.will(sends(429, retry_after="0"))
    minimax.will(says(reply()))

    for _ in range(5):
        asker.ask()
        asker.pass_time("not_before_ms")

    assert len(groq.asked) == 5


def test_our_own_rate_sends_the_rest_to_the_next_model(asker: Asker, groq: ModelServer, minimax: ModelServer) -> None:
    for server in (groq, minimax):
        server.will(says(reply()))

    before = client.now_ms(client.client())

    makers = [asker.ask(f"question {number}").by for number in range(20)]

    refilled = (client.now_ms(client.client()) - before) // providers.configured()[0].limits.every_ms
    assert makers[:15] == [GROQ] * 15
    assert makers.count(GROQ) <= 15 + refilled
    skipped = [line["why"] for line in asker.told if line["outcome"] == "skipped"]
    assert skipped == ["our own rate is used up"] * makers.count(MINIMAX)


# What only a person can mend


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "GROQ_API_KEY"), (403, "GROQ_API_KEY"), (404, "GROQ_MODEL"), (402, "no credit"), (302, "GROQ_URL")],
)
def test_a_wrong_setting_is_told_once_with_what_to_do_and_a_corrected_one_works_at_once(
    asker: Asker, groq: ModelServer, minimax: ModelServer, status: int, advice: str
) -> None:
    groq.will(sends(status, {"error": {"message": "no such thing"}}), says(reply()))
    minimax.will(says(reply()))

    for number in range(5):
        assert asker.ask(f"question {number}").by == MINIMAX

    assert len(groq.asked) == 1
    told = asker.told[0]
    assert (told["log_level"], told["why"], told["said"]) == ("warning", f"HTTP {status}", "no such thing")
    assert advice in told["hint"]

    asker.set(GROQ_API_KEY="another")
    assert asker.ask().by == GROQ


def test_a_question_that_was_refused_is_not_asked_again_and_others_are(
    asker: Asker, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(sends(400, {"error": {"message": "too long"}}), says(reply()))
    minimax.will(says(reply()))

    makers = [asker.ask(question).by for question in ("long", "long", "short", "long")]

    assert makers == [MINIMAX, MINIMAX, GROQ, MINIMAX]
    assert len(groq.asked) == 2
