"""Posts to Mastodon through the gate: lost answers, servers that ignore the key, and workers that die, leave one status."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import a_valkey
from tests.harness import patient, until
from tests.providers.mastodon import TOKEN, Mastodon
from tests.providers.server import Hold, Way, applies_and_hangs_up, applies_and_says, hangs_up, says
from tests.work.crying import Crying

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def running() -> Iterator[Mastodon]:
    server = Mastodon()
    yield server
    server.close()


@pytest.fixture(scope="module")
def crying(running: Mastodon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crying]:
    valkey = a_valkey()
    made = Crying(
        tmp_path_factory.mktemp("mastodon"), valkey.url, "mastodon", MASTODON_URL=running.url, MASTODON_TOKEN=TOKEN
    )
    yield made
    made.close()
    valkey.close()


@pytest.fixture
def server(running: Mastodon) -> Mastodon:
    """Nothing happened there yet, and all goes well."""
    running.reset()
    return running


@pytest.mark.parametrize("way", [applies_and_hangs_up, applies_and_says(503)])
def test_a_server_that_ignores_the_key_and_loses_the_answer_has_one_status(
    crying: Crying, server: Mastodon, way: Way
) -> None:
    server.honours_keys = False
    server.will(way)

    result = crying.cry_until_done()

    assert server.texts == ["Hello\n\nIt is out."]
    assert result["id"] == server.statuses[0]["id"]


def test_a_status_that_is_listed_late_is_not_sent_again(crying: Crying, server: Mastodon) -> None:
    server.honours_keys = False
    server.will(applies_and_hangs_up)
    server.lag = 3  # the list before it is sent, and the first look-up

    crying.cry_until_done()

    assert len(server.posts) == 1


def test_a_status_that_never_arrived_is_sent_again_once_that_is_proven(crying: Crying, server: Mastodon) -> None:
    server.will(hangs_up)

    crying.cry_until_done()

    assert len(server.posts) == 1
    first, second = server.requests("POST")
    assert first.form == second.form
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert len(server.requests("GET", "/statuses")) >= 1 + 2


def test_a_refused_status_is_sent_again(crying: Crying, server: Mastodon) -> None:
    server.will(says(429), says(429))

    crying.cry_until_done()

    assert len(server.posts) == 1


def test_a_text_that_mastodon_does_not_accept_is_rejected_at_once_and_goes_out_once_it_is_corrected(
    crying: Crying, server: Mastodon
) -> None:
    server.will(says(422, {"error": "Validation failed: Text is too rude"}))
    crying.cry()
    until(lambda: crying.told["state"] == "rejected", 30, "the text to be rejected")
    assert len(server.requests("POST")) == 1
    failed = [event for event in crying.told["story"] if event["event"] == "failed"]
    assert "too rude" in failed[-1]["error"]
    assert "change the text of the post" in failed[-1]["error"]

    crying.correct("It is polite.")

    crying.wait_until_done()
    assert server.texts == ["Hello\n\nIt is polite."]


@pytest.mark.parametrize("applied", [True, False])
def test_a_worker_killed_in_mid_publish_leaves_one_status(crying: Crying, server: Mastodon, applied: bool) -> None:
    server.honours_keys = False
    hold = Hold(applied=applied)
    server.will(hold)
    crying.cry()
    assert hold.arrived.wait(patient(30))

    crying.kill_the_worker()
    hold.gone.set()
    crying.start_another_worker()
    crying.wait_until_done()

    assert len(server.posts) == 1
