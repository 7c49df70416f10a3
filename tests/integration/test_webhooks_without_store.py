"""While the store is unavailable, full or silent, no delivery is accepted, and the sender is told when to retry."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import senders
from tests.harness import Install, Valkey
from tests.senders import Answer, message

SECRET = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


@pytest.fixture
def house(install_on: Callable[[Valkey], Install], fragile_valkey: Valkey) -> Install:
    """Start a web process without a worker."""
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
    assert forged.status == 401, "a forged delivery does not learn the state of the store"
    fragile_valkey.start()
    assert deliver(house, "m1").status == 202

    fragile_valkey.pause()
    refused(deliver(house, "m2"))  # while Redis does not answer
    fragile_valkey.resume()
    assert deliver(house, "m2").status in {200, 202}, "the delivery that was answered 503 may have arrived"
    assert deliver(house, "m2").status == 200


def test_a_full_store_is_503_and_stores_nothing_partially(house: Install, fragile_valkey: Valkey) -> None:
    client = fragile_valkey.client()
    client.config_set("maxmemory", "1")
    refused(deliver(house, "m1"))
    assert client.keys("gate:{responder}:*") == []
    client.config_set("maxmemory", "0")

    assert deliver(house, "m1").status == 202
