"""The store is away, full or silent: nothing is accepted that cannot be kept, and the sender is told when to come again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import senders
from tests.harness import Install, Valkey
from tests.senders import Answer, message

SECRET = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


@pytest.fixture
def house(install_on: Callable[[Valkey], Install], fragile_valkey: Valkey) -> Install:
    """A web process, and nobody who works."""
    install = install_on(fragile_valkey)
    install.env["WEBHOOK_SECRET_STANDARD"] = SECRET
    install.web()
    return install


def deliver(house: Install, delivery: str) -> Answer:
    body = message(delivery)
    return senders.send(f"{house.web_url}/hooks/standard", body, senders.standard(SECRET, body, delivery))


def refused(answer: Answer) -> None:
    assert answer.status == 503, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1


def test_a_store_that_is_down_or_silent_is_503_and_the_same_delivery_is_accepted_later(
    house: Install, fragile_valkey: Valkey
) -> None:
    fragile_valkey.stop()
    refused(deliver(house, "m1"))
    refused(senders.send(f"{house.web_url}/calls/hook:standard:m1", b"", {}, "GET"))
    body = message("forged")
    forged = senders.send(
        f"{house.web_url}/hooks/standard", body, {**senders.standard(SECRET, body, "x"), "webhook-id": "y"}
    )
    assert forged.status == 401, "who is not known is not told how we are"
    fragile_valkey.start()
    assert deliver(house, "m1").status == 202

    fragile_valkey.pause()
    refused(deliver(house, "m2"))  # while Redis still says nothing
    fragile_valkey.resume()
    assert deliver(house, "m2").status in {200, 202}, "what was given up may have arrived after all"
    assert deliver(house, "m2").status == 200


def test_a_store_that_is_full_is_503_and_keeps_nothing_half(house: Install, fragile_valkey: Valkey) -> None:
    client = fragile_valkey.client()
    client.config_set("maxmemory", "1")
    refused(deliver(house, "m1"))
    assert client.keys("gate:{responder}:*") == []
    client.config_set("maxmemory", "0")

    assert deliver(house, "m1").status == 202
