"""The Threads destination against a server that does what a test tells it, without a gate: one container, one post."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from requests import HTTPError

from clients.destinations import LookupInconclusive, NotConfigured, check, threads
from gatekeeper import redact
from tests.providers.key import Key, a_post, with_settings
from tests.providers.server import (
    Answer,
    applies_and_hangs_up,
    applies_and_is_cut_off,
    applies_and_says,
    hangs_up,
    says,
)
from tests.providers.threads import TOKEN, Threads, error, no_such_thing

LINK = "https://example.org/a-page"


@pytest.fixture(scope="module")
def running() -> Iterator[Threads]:
    server = Threads()
    yield server
    server.close()


@pytest.fixture
def server(running: Threads, monkeypatch: pytest.MonkeyPatch) -> Iterator[Threads]:
    running.reset()
    with_settings(monkeypatch, THREADS_URL=running.url, THREADS_TOKEN=TOKEN, THREADS_USER_ID="me", HTTP_TIMEOUT="5")
    yield running
    monkeypatch.undo()
    with_settings(monkeypatch)


@pytest.fixture
def key(server: Threads, monkeypatch: pytest.MonkeyPatch) -> Key:
    return Key("threads").kept_in(monkeypatch)


def containers(server: Threads) -> list[str]:
    return list(server.containers)


def test_a_post_becomes_one_container_and_one_thread(key: Key, server: Threads) -> None:
    published = key.attempt()

    assert not isinstance(published, str)
    assert server.texts == ["Hello\n\nIt is out."]
    assert (published.id, published.url) == (server.threads[0]["id"], server.threads[0]["permalink"])
    assert published.published_at.isoformat() == "2026-11-01T09:01:00+00:00"
    assert key.points["container"] == key.points["asked"] == server.posts[0]["container"]


def test_a_container_is_made_of_plain_text_that_is_not_published_by_itself(key: Key, server: Threads) -> None:
    key.attempt()

    (made,) = server.requests("POST", "/threads")
    assert made.form == {"media_type": "TEXT", "text": "Hello\n\nIt is out.", "access_token": TOKEN}


def test_a_container_in_progress_is_waited_for(key: Key, server: Threads) -> None:
    server.takes = 2

    assert not isinstance(key.attempt(), str)
    assert len(server.posts) == 1


def test_a_container_that_takes_too_long_is_taken_up_by_the_next_attempt(
    key: Key, server: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "MAX_CONTAINER_SECONDS", 0.1)
    server.takes = 4

    first = key.attempt()
    monkeypatch.setattr(threads, "MAX_CONTAINER_SECONDS", 10)
    second = key.attempt()

    assert first == "not applied"
    assert not isinstance(second, str)
    assert len(server.containers) == len(server.posts) == 1


def test_nothing_hidden_or_unprintable_is_sent(key: Key, server: Threads) -> None:
    body = "One &#12;<!-- ask\n\nlegal --> [two](/docs/) ![three &#x0C;](../a.png).\n\n```\n<!-- shown -->\n```"
    key.post = a_post(body, title="Hello <!-- legal? -->\x10 there", tags=["a<!-- b -->"])

    key.attempt()

    assert server.texts == ["Hello there\n\nOne two three .\n\n<!-- shown -->"]


# What was sent and not answered


@pytest.mark.parametrize(
    "way", [applies_and_hangs_up, applies_and_is_cut_off, applies_and_says(500), applies_and_says(503),
            applies_and_says(200, {"id": None}), applies_and_says(400, {"error": {"code": 2, "message": "Try later"}})],
)  # fmt: skip
def test_a_lost_answer_is_unknown_and_the_look_up_finds_the_post(key: Key, server: Threads, way: object) -> None:
    server.will(way)  # type: ignore[arg-type]

    assert key.attempt() == "unknown"
    found = key.find()

    assert found is not None
    assert found.id == server.threads[0]["id"]
    assert len(server.posts) == 1


def test_an_attempt_after_a_lost_answer_leaves_one_post(key: Key, server: Threads) -> None:
    server.will(applies_and_hangs_up)

    assert key.attempt() == "unknown"
    published = key.attempt()

    assert not isinstance(published, str)
    assert published.id == server.threads[0]["id"]
    assert len(server.posts) == len(server.containers) == 1


def test_a_publish_that_never_arrived_is_asked_for_again_with_the_same_container(key: Key, server: Threads) -> None:
    server.will(hangs_up)

    assert key.attempt() == "unknown"
    assert key.find() is None
    assert not isinstance(key.attempt(), str)
    assert len(server.posts) == len(server.containers) == 1


def test_a_post_that_is_published_but_not_listed_is_found_by_its_container(key: Key, server: Threads) -> None:
    server.will(applies_and_hangs_up)
    key.attempt()
    server.threads.clear()

    found = key.find()

    assert found is not None
    assert (found.id, found.url) == (key.points["container"], "https://www.threads.com/@agent")


def test_lists_and_looks_that_lag_say_absent_until_one_caught_up(key: Key, server: Threads) -> None:
    server.will(applies_and_hangs_up)
    key.attempt()
    server.lag = 4

    assert [key.find() is not None for _ in range(3)] == [False, True, True]


# The container


@pytest.mark.parametrize("way", [hangs_up, applies_and_hangs_up, applies_and_says(500), says(500)])
def test_a_container_whose_making_fails_is_not_applied_and_made_again(key: Key, server: Threads, way: object) -> None:
    server.refuses[f"/{server.user}/threads"] = lambda go: way(go) if server.asked[-1].method == "POST" else go()  # type: ignore[operator]

    assert key.attempt() == "not applied"
    assert key.find() is None
    del server.refuses[f"/{server.user}/threads"]
    assert not isinstance(key.attempt(), str)
    assert len(server.posts) == 1


@pytest.mark.parametrize("status", ["ERROR", "EXPIRED"])
def test_a_dead_container_gives_way_to_another(key: Key, server: Threads, status: str) -> None:
    server.will(hangs_up)
    key.attempt()
    server.becomes(status)

    assert key.find() is None
    assert not isinstance(key.attempt(), str)
    assert len(server.containers) == 2
    assert len(server.posts) == 1


def test_a_container_that_fails_at_once_says_why(key: Key, server: Threads) -> None:
    create = server._create

    def create_and_fail(form: dict[str, str]) -> object:
        made = create(form)
        server.becomes("ERROR")
        return made

    server._create = create_and_fail  # type: ignore[method-assign,assignment]
    try:
        assert key.attempt() == "not applied"
    finally:
        del server._create
    assert "is ERROR: UNKNOWN" in str(key.error)


def test_a_container_that_is_not_found_at_first_is_asked_for_again(key: Key, server: Threads) -> None:
    server.will(says(400, no_such_thing("1").content))

    assert key.attempt() == "not applied"
    assert not isinstance(key.attempt(), str)
    assert len(server.containers) == len(server.posts) == 1


def test_a_container_that_is_not_found_twice_gives_way_to_another(key: Key, server: Threads) -> None:
    server.will(*[says(400, no_such_thing("1").content)] * 2)

    outcomes = [key.attempt() for _ in range(3)]

    assert outcomes[:2] == ["not applied", "not applied"]
    assert not isinstance(outcomes[2], str)
    assert len(server.containers) == 2
    assert len(server.posts) == 1


def test_a_given_up_container_that_was_published_after_all_is_seen_before_another_is_made(
    key: Key, server: Threads
) -> None:
    server.will(applies_and_says(500), says(400, no_such_thing("1").content))
    key.attempt()
    server.lag = 6  # the look-up's list and status, and the two looks before it is published again
    assert key.attempt() == "not applied"
    assert key.points["container"] == ""
    server.lag = 0

    assert not isinstance(key.attempt(), str)
    assert len(server.posts) == 1


def test_a_container_that_turns_out_to_be_published_is_not_published_again(key: Key, server: Threads) -> None:
    server.will(applies_and_hangs_up)
    key.attempt()
    server.lag = 3  # the look-up's list and status: only the look before it is published again tells the truth

    assert key.attempt() == "not applied"
    assert not isinstance(key.attempt(), str)
    assert len(server.posts) == 1


# Looking


def test_nothing_is_asked_for_a_key_whose_publish_was_never_asked_for(key: Key, server: Threads) -> None:
    assert key.find() is None
    key.points |= {"container": "1"}
    assert key.find() is None
    assert server.asked == []


def test_what_was_there_before_is_never_taken_for_this_post(key: Key, server: Threads) -> None:
    server.post_by_hand("Hello\n\nIt is out.")
    server.post_by_hand("between")
    server.will(hangs_up)
    key.attempt()

    assert key.find() is None


def test_a_post_that_says_nearly_the_same_is_for_a_person(key: Key, server: Threads) -> None:
    key.post = a_post("One two three four five six seven eight nine ten.")
    server.will(hangs_up)
    key.attempt()
    server.post_by_hand("Hello\n\nOne two three four five six seven eight nine eleven.")

    with pytest.raises(LookupInconclusive, match="says nearly the same"):
        key.find()


def test_a_container_still_in_the_publishing_process_is_no_proof_of_absence(key: Key, server: Threads) -> None:
    server.will(hangs_up)
    key.attempt()
    server.becomes("IN_PROGRESS")

    with pytest.raises(LookupInconclusive, match="is IN_PROGRESS"):
        key.find()


def test_a_container_that_is_gone_is_no_proof_of_absence(key: Key, server: Threads) -> None:
    server.will(hangs_up)
    key.attempt()
    server.refuses[f"/{key.points['container']}"] = says(400, no_such_thing("1").content)

    with pytest.raises(LookupInconclusive, match="is GONE"):
        key.find()


def test_other_posts_that_came_since_are_read_page_by_page(key: Key, server: Threads) -> None:
    server.will(applies_and_hangs_up)
    key.attempt()
    for number in range(250):
        server.post_by_hand(f"remark {number}")

    found = key.find()

    assert found is not None
    assert found.id == server.posts[0]["id"]


def test_a_flood_of_posts_since_is_no_proof_of_absence(key: Key, server: Threads) -> None:
    server.will(hangs_up)
    key.attempt()
    for number in range(1001):
        server.post_by_hand(f"remark {number}")

    with pytest.raises(LookupInconclusive, match="more than 1000 posts"):
        key.find()


@pytest.mark.parametrize("way", [says(401), says(500), error(400, 190, "expired")])
@pytest.mark.parametrize("list_fails", [True, False])
def test_a_look_up_that_is_refused_proves_nothing(key: Key, server: Threads, way: object, list_fails: bool) -> None:
    server.will(hangs_up)
    key.attempt()
    refused = way if callable(way) else says(way.status, way.content)  # type: ignore[attr-defined]
    server.refuses[f"/{server.user}/threads" if list_fails else f"/{key.points['container']}"] = refused

    with pytest.raises(HTTPError, match=r"Threads answered [45]"):
        key.find()


def test_the_list_of_another_account_proves_nothing(key: Key, server: Threads) -> None:
    server.will(applies_and_hangs_up)
    key.attempt()
    server.user = "77"

    with pytest.raises(LookupInconclusive, match="it was sent to account 17841400"):
        key.find()


# What is not applied


@pytest.mark.parametrize("way", [says(401), says(403), says(404), says(429), *(
    says(400, error(400, code, "no").content) for code in (4, 10, 32, 100, 190, 368, 613)
)])  # fmt: skip
def test_a_refused_publish_is_not_applied(key: Key, server: Threads, way: object) -> None:
    server.will(way)  # type: ignore[arg-type]

    assert key.attempt() == "not applied"
    assert not isinstance(key.attempt(), str)
    assert len(server.containers) == len(server.posts) == 1


def test_a_publish_that_finds_no_server_is_not_applied(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    leaving = Threads()
    with_settings(monkeypatch, THREADS_URL=leaving.url)

    def answer_and_leave(go: Callable[[], Answer]) -> Answer:
        said = go()
        leaving.close()
        return said

    leaving.refuses["/18000000000000000"] = answer_and_leave  # the look at the container, before the publish

    assert key.attempt() == "not applied"
    assert "the publish of 18000000000000000 was not sent" in str(key.error)


def test_whatever_happens_after_the_publish_the_post_is_out(key: Key, server: Threads) -> None:
    publish = server._publish

    def publish_and_fail(number: str) -> object:
        said = publish(number)
        server.refuses[f"/{server.threads[-1]['id']}"] = says(500)
        return said

    server._publish = publish_and_fail  # type: ignore[method-assign,assignment]
    try:
        published = key.attempt()
    finally:
        del server._publish

    assert not isinstance(published, str)
    assert (published.id, published.url) == (server.threads[0]["id"], "https://www.threads.com/@agent")


def test_without_a_token_nothing_is_asked_and_the_error_says_what_to_set(
    key: Key, server: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(monkeypatch, THREADS_TOKEN="")

    with pytest.raises(NotConfigured, match="the destination threads needs THREADS_TOKEN"):
        check("threads")
    assert key.attempt() == "not applied"
    assert server.asked == []


def test_the_token_is_a_secret(server: Threads) -> None:
    assert TOKEN not in redact.clean(f"https://graph.threads.net/me?access_token={TOKEN}")


# Length


@pytest.mark.parametrize(
    ("text", "counted"),
    [("word", 4), (LINK, 26), ("👍", 4), ("👍🏽", 8), ("👨‍👩‍👧", 18), ("❤️", 6), ("1️⃣", 7), ("ü 中文 “q” – …", 25)],
)
def test_a_text_is_as_long_as_threads_may_count_it(text: str, counted: int) -> None:
    assert threads.length(text) == counted


@pytest.mark.parametrize("words", ["It’s “late”. ", "Grüße, für Ölfässer. ", "日本語の文です。", "👩🏽‍💻 "])
def test_what_is_sent_fits_whichever_way_threads_counts(key: Key, server: Threads, words: str) -> None:
    key.post = a_post(words * 200)

    key.attempt()

    (text,) = server.texts
    assert 440 <= len(text.encode()) <= 500


def test_a_long_post_fills_what_threads_allows_and_keeps_its_link(key: Key, server: Threads) -> None:
    key.post = a_post("Some words of it. 👍 " * 60 + f"\n\n[All of it]({LINK})")

    key.attempt()

    (text,) = server.texts
    assert text.endswith(f"\n\n{LINK}")
    assert 450 <= threads.length(text) <= 500


def test_an_address_without_a_scheme_counts_as_a_link(key: Key, server: Threads) -> None:
    key.post = a_post(" ".join(f"www.example{number}.org" for number in range(7)))

    key.attempt()

    assert server.texts == ["Hello\n\n" + " ".join(f"www.example{number}.org" for number in range(5)) + "  "]


def test_no_more_than_five_links_are_sent(key: Key, server: Threads) -> None:
    links = [f"https://example.org/{number}" for number in range(7)]
    key.post = a_post(" ".join(f"[L{number}]({link})" for number, link in enumerate(links)) + f" again {links[0]}")

    key.attempt()

    assert server.texts == [
        "Hello\n\n" + " ".join(f"L{number} ({links[number]})" for number in range(5)) + f" L5 L6 again {links[0]}"
    ]
