"""Posts to Threads through the gate: lost answers and workers that die leave one post, made of one container."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import a_valkey
from tests.harness import patient, until
from tests.providers.server import Hold, Way, applies_and_hangs_up, applies_and_says, hangs_up, says
from tests.providers.threads import TOKEN, Threads, error
from tests.work.crying import Crying

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def running() -> Iterator[Threads]:
    server = Threads()
    yield server
    server.close()


@pytest.fixture(scope="module")
def crying(running: Threads, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crying]:
    valkey = a_valkey()
    made = Crying(
        tmp_path_factory.mktemp("threads"), valkey.url, "threads", THREADS_URL=running.url, THREADS_TOKEN=TOKEN
    )
    yield made
    made.close()
    valkey.close()


@pytest.fixture
def server(running: Threads) -> Threads:
    """Nothing happened there yet, and all goes well."""
    running.reset()
    return running


@pytest.mark.parametrize("way", [applies_and_hangs_up, applies_and_says(503), hangs_up, says(429)])
def test_a_lost_or_refused_publish_ends_as_one_post_of_one_container(crying: Crying, server: Threads, way: Way) -> None:
    server.will(way)

    result = crying.cry_until_done()

    assert server.texts == ["Hello\n\nIt is out."]
    assert len(server.containers) == 1
    assert result["id"] == server.threads[0]["id"]


def test_a_text_that_threads_does_not_accept_is_corrected_in_a_container_of_its_own(
    crying: Crying, server: Threads
) -> None:
    refusal = error(400, 100, "The text is not accepted")
    server.will(says(refusal.status, refusal.content))
    crying.cry()
    until(lambda: crying.told["state"] == "rejected", 30, "the text to be rejected")
    assert [made["text"] for made in server.containers.values()] == ["Hello\n\nIt is out."]

    crying.correct("It is polite.")

    crying.wait_until_done()
    assert server.texts == ["Hello\n\nIt is polite."]
    assert len(server.containers) == 2


def test_a_token_that_threads_does_not_know_is_named_at_once(crying: Crying, server: Threads) -> None:
    refusal = error(400, 190, "Error validating access token")
    server.will(says(refusal.status, refusal.content))
    crying.cry()

    until(lambda: crying.told["state"] == "rejected", 30, "the post to be rejected")

    assert "change THREADS_TOKEN" in crying.told["story"][-1]["error"]


def test_a_post_that_is_seen_late_is_not_published_again(crying: Crying, server: Threads) -> None:
    server.will(applies_and_hangs_up)
    server.lag = 4  # the list before it is published, and the first look-up's list and status

    crying.cry_until_done()

    assert len(server.posts) == len(server.containers) == 1


@pytest.mark.parametrize("applied", [True, False])
def test_a_worker_killed_in_mid_publish_leaves_one_post(crying: Crying, server: Threads, applied: bool) -> None:
    hold = Hold(applied=applied)
    server.will(hold)
    crying.cry()
    assert hold.arrived.wait(patient(30))

    crying.kill_the_worker()
    hold.gone.set()
    crying.start_another_worker()
    crying.wait_until_done()

    assert len(server.posts) == len(server.containers) == 1


def test_a_worker_killed_while_its_container_is_prepared_leaves_it_to_the_next(crying: Crying, server: Threads) -> None:
    server.takes = 1_000_000
    crying.cry()
    until(lambda: [asked for asked in server.asked if asked.path.strip("/") in server.containers], what="a look at it")

    crying.kill_the_worker()
    for container in server.containers.values():
        container["takes"] = 0
    crying.start_another_worker()
    crying.wait_until_done()

    assert len(server.posts) == len(server.containers) == 1
