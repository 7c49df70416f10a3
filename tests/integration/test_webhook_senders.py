"""Stripe, Slack, Telegram and private keys over real HTTP: deliveries, their repetitions, and what only looks like one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import senders
from tests.harness import Install
from tests.harness.process import Process
from tests.integration.test_webhooks import ended, problem, start_web
from tests.senders import Answer, slack_message, telegram_message

STRIPE, SLACK, TELEGRAM = "whsec_stripe", "slack-signing-secret", "telegram_secret-1"
KEY = senders.private_key()

ENV = {
    "WEBHOOK_SECRET_STANDARD": senders.public_secret(KEY),
    "WEBHOOK_SECRET_STRIPE": f"whsec_older {STRIPE}",
    "WEBHOOK_SECRET_SLACK": SLACK,
    "WEBHOOK_SECRET_TELEGRAM": TELEGRAM,
}


@pytest.fixture(scope="module", autouse=True)
def web(house: Install) -> Process:
    """Start the web process and a worker together; return the web process."""
    house.env.update(ENV)
    with ThreadPoolExecutor(2) as pool:
        web = pool.submit(start_web, house)
        pool.submit(house.worker).result()
        return web.result()


def stripe(house: Install, body: bytes) -> Answer:
    return senders.send(f"{house.web_url}/hooks/stripe", body, senders.stripe(STRIPE, body))


def slack(house: Install, body: bytes, **more: str) -> Answer:
    return senders.send(f"{house.web_url}/hooks/slack", body, {**senders.slack(SLACK, body), **more})


def telegram(house: Install, body: bytes) -> Answer:
    return senders.send(f"{house.web_url}/hooks/telegram", body, senders.telegram(TELEGRAM))


def event(id: str, total: Any = 1200, **more: Any) -> bytes:
    content = {"id": id, "object": "event", "type": "invoice.paid", "pending_webhooks": 1, **more}
    return json.dumps({**content, "data": {"object": {"id": f"in_{id}", "total": total}}}).encode()


# Stripe


def test_an_event_of_stripe_runs_and_its_repetition_is_a_duplicate_although_its_bytes_differ(house: Install) -> None:
    first = stripe(house, event("evt_1"))
    again = stripe(house, event("evt_1", pending_webhooks=0))

    assert (first.status, again.status) == (202, 200)
    assert first.content["call"] == again.content["call"] == "hook:stripe:evt_1"
    assert ended(house, first)["state"] == "done"


def test_an_event_of_stripe_with_the_id_of_another_is_refused(house: Install) -> None:
    assert stripe(house, event("evt_2")).status == 202

    assert "another body" in problem(stripe(house, event("evt_2", total=1)), 422)


def test_an_event_of_stripe_that_starts_nothing_is_ignored(house: Install) -> None:
    answer = stripe(house, event("evt_3", type="invoice.voided"))

    assert (answer.status, answer.content) == (200, {"ignored": "invoice.voided"})


# Slack


def test_slack_reads_its_challenge_when_a_person_enters_the_address(house: Install) -> None:
    body = json.dumps({"token": "t", "challenge": "3eZbrw1aB10FEMaGQ", "type": "url_verification"}).encode()

    answer = slack(house, body)

    assert (answer.status, answer.content) == (200, {"challenge": "3eZbrw1aB10FEMaGQ"})


def test_a_challenge_that_slack_did_not_sign_is_not_repeated(house: Install) -> None:
    body = json.dumps({"challenge": "<script>", "type": "url_verification"}).encode()

    answer = senders.send(f"{house.web_url}/hooks/slack", body, senders.slack("wrong", body))

    assert "X-Slack-Signature" in problem(answer, 401)
    assert b"script" not in answer.body


def test_a_message_in_slack_is_answered_once_and_what_slack_sends_again_is_a_duplicate(house: Install) -> None:
    first = slack(house, slack_message("Ev1", ts="1.1"))
    retries = [
        slack(
            house,
            slack_message("Ev1", ts="1.1"),
            **{"X-Slack-Retry-Num": number, "X-Slack-Retry-Reason": "http_timeout"},
        )
        for number in "123"
    ]

    assert first.status == 202
    assert [(each.status, each.content["call"]) for each in retries] == [(200, "hook:slack:Ev1")] * 3
    assert ended(house, first)["key"] == "respond:slack:C061:1.1"


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"bot_id": "B1"}, "message.B1"),
        ({"subtype": "message_changed"}, "message.message_changed"),
        ({"subtype": "bot_message", "bot_id": "B1"}, "message.bot_message.B1"),
        ({"type": "reaction_added"}, "reaction_added"),
    ],
)
def test_bots_edits_and_other_events_of_slack_start_nothing(
    house: Install, fields: dict[str, str], ignored: str
) -> None:
    answer = slack(house, slack_message("Ev2", **fields))

    assert (answer.status, answer.content) == (200, {"ignored": ignored})


def test_a_form_of_slack_is_told_that_only_json_is_read(house: Install) -> None:
    body = b"command=%2Fweather&text=94070"
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    assert "application/json" in problem(slack(house, body, **form), 415)


# Telegram


def test_a_message_in_telegram_is_answered_once(house: Install) -> None:
    first, again = telegram(house, telegram_message(10)), telegram(house, telegram_message(10))

    assert (first.status, again.status, again.content["call"]) == (202, 200, "hook:telegram:10")
    assert ended(house, first)["key"] == "respond:telegram:-1009:33"


@pytest.mark.parametrize(
    "update", [{"message": {"message_id": 1, "sticker": {}}}, {"edited_message": {"text": "x"}}, {"callback_query": {}}]
)
def test_an_update_without_a_message_of_text_is_taken_so_that_telegram_goes_on(
    house: Install, update: dict[str, Any]
) -> None:
    answer = telegram(house, json.dumps({"update_id": 11, **update}).encode())

    assert (answer.status, answer.content) == (200, {"ignored": "update"})


def test_a_wrong_token_is_told_its_header_and_never_the_right_one(house: Install) -> None:
    body = telegram_message(12)

    answer = senders.send(f"{house.web_url}/hooks/telegram", body, senders.telegram("wrong"))

    assert "X-Telegram-Bot-Api-Secret-Token" in problem(answer, 401)
    assert TELEGRAM.encode() not in answer.body


# Private keys


def test_a_delivery_signed_with_a_private_key_runs(house: Install) -> None:
    body = senders.message("private")

    answer = senders.send(f"{house.web_url}/hooks/standard", body, senders.standard_private(KEY, body, "msg_9"))

    assert answer.status == 202
    assert ended(house, answer)["state"] == "done"


# Hostile requests


@pytest.mark.parametrize("source", ["stripe", "slack", "telegram"])
def test_a_body_of_two_megabytes_is_refused_before_it_is_verified(house: Install, source: str) -> None:
    body = b'{"text": "' + b"x" * 2_000_000 + b'"}'

    try:
        answer = senders.send(f"{house.web_url}/hooks/{source}", body, senders.JSON)
    except ConnectionError:
        return  # closed while it was being sent
    assert "at most" in problem(answer, 413)


@pytest.mark.parametrize("source", ["stripe", "slack", "telegram"])
def test_a_body_in_another_encoding_is_refused(house: Install, source: str) -> None:
    for more in ({"Content-Type": "application/json; charset=utf-16"}, {"Content-Encoding": "gzip"}):
        problem(senders.send(f"{house.web_url}/hooks/{source}", b"{}", {**senders.JSON, **more}), 415)


def test_no_secret_is_in_the_log(web: Process) -> None:
    for secret in (STRIPE, SLACK, TELEGRAM):
        assert secret not in web.output
