"""The Mastodon destination against a server that does what a test tells it, without a gate: one status, or a clear no."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from requests import HTTPError

from clients.destinations import LookupInconclusive, NotConfigured, check, mastodon
from gatekeeper import redact
from tests.providers.key import Key, a_post, with_settings
from tests.providers.mastodon import TOKEN, Mastodon
from tests.providers.server import (
    applies_and_hangs_up,
    applies_and_is_cut_off,
    applies_and_says,
    hangs_up,
    says,
)

WIDE = "https://example.org/" + "a-very-long-address/" * 10 + "index.html"


@pytest.fixture(scope="module")
def running() -> Iterator[Mastodon]:
    server = Mastodon()
    yield server
    server.close()


@pytest.fixture
def server(running: Mastodon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mastodon]:
    running.reset()
    with_settings(monkeypatch, MASTODON_URL=running.url, MASTODON_TOKEN=TOKEN, HTTP_TIMEOUT="5")
    yield running
    monkeypatch.undo()
    with_settings(monkeypatch)


@pytest.fixture
def key(server: Mastodon, monkeypatch: pytest.MonkeyPatch) -> Key:
    return Key("mastodon").kept_in(monkeypatch)


def test_a_post_becomes_one_status(key: Key, server: Mastodon) -> None:
    published = key.attempt()

    assert not isinstance(published, str)
    assert server.texts == ["Hello\n\nIt is out."]
    assert (published.id, published.url) == (server.statuses[0]["id"], server.statuses[0]["url"])
    assert published.published_at.isoformat() == server.statuses[0]["created_at"]


def test_the_key_is_made_of_the_post_and_not_of_its_text(
    key: Key, server: Mastodon, monkeypatch: pytest.MonkeyPatch
) -> None:
    key.attempt()
    Key("mastodon", a_post("Another text.")).kept_in(monkeypatch).attempt()

    keys = [asked.headers["idempotency-key"] for asked in server.requests("POST")]
    assert keys == ["gatehouse:mastodon:hello"] * 2


def test_nothing_hidden_or_unprintable_is_sent(key: Key, server: Mastodon) -> None:
    body = "One &#12;<!-- ask\n\nlegal --> [two](/docs/) ![three &#x0C;](../a.png).\n\n```\n<!-- shown -->\n```"
    key.post = a_post(body, title="Hello <!-- legal? -->\x10 there", tags=["a<!-- b -->"])

    key.attempt()

    assert server.texts == ["Hello there\n\nOne two three .\n\n<!-- shown -->"]


# What was sent and not answered


@pytest.mark.parametrize(
    "way", [applies_and_hangs_up, applies_and_is_cut_off, applies_and_says(500), applies_and_says(503), applies_and_says(408),
            applies_and_says(200, {"id": None}), applies_and_says(302)],
)  # fmt: skip
def test_a_lost_answer_is_unknown_and_the_look_up_finds_the_status(key: Key, server: Mastodon, way: object) -> None:
    server.will(way)  # type: ignore[arg-type]

    assert key.attempt() == "unknown"
    found = key.find()

    assert found is not None
    assert found.id == server.statuses[0]["id"]
    assert len(server.posts) == 1


@pytest.mark.parametrize("honours_keys", [True, False])
def test_an_attempt_after_a_lost_answer_leaves_one_status(key: Key, server: Mastodon, honours_keys: bool) -> None:
    server.honours_keys = honours_keys
    server.will(applies_and_hangs_up)

    assert key.attempt() == "unknown"
    published = key.attempt()

    assert not isinstance(published, str)
    assert published.id == server.statuses[0]["id"]
    assert len(server.posts) == 1


def test_an_attempt_after_the_keys_hour_leaves_one_status(key: Key, server: Mastodon) -> None:
    server.will(applies_and_says(500))

    key.attempt()
    server.forget_keys()
    key.attempt()

    assert len(server.posts) == 1


def test_what_never_arrived_is_not_found_and_can_be_sent_again(key: Key, server: Mastodon) -> None:
    server.will(hangs_up)

    assert key.attempt() == "unknown"
    assert key.find() is None
    assert not isinstance(key.attempt(), str)
    assert len(server.posts) == 1


def test_the_later_attempt_sends_the_first_ones_text_whatever_the_server_allows_by_then(
    key: Key, server: Mastodon
) -> None:
    key.post = a_post("word " * 200)
    server.will(hangs_up)
    key.attempt()
    server.limits = {"max_characters": 5_000, "characters_reserved_per_url": 23}

    key.attempt()

    first, second = [asked.form["status"] for asked in server.requests("POST")]
    assert first == second


def test_a_list_that_lags_says_absent_until_it_caught_up(key: Key, server: Mastodon) -> None:
    server.will(applies_and_hangs_up)
    key.attempt()
    server.lag = 3

    assert [key.find() is not None for _ in range(3)] == [False, False, True]


# Looking


def test_nothing_is_asked_for_a_key_that_never_came_as_far_as_sending(key: Key, server: Mastodon) -> None:
    assert key.find() is None
    assert server.asked == []


def test_a_status_is_recognized_in_html_with_shortened_links_and_bare_handles(key: Key, server: Mastodon) -> None:
    key.post = a_post(f"Ask @ada@example.org & read <{WIDE}>.\n\n- “one”\n- two  \nthree")
    server.will(applies_and_hangs_up)
    key.attempt()

    assert key.find() is not None


@pytest.mark.parametrize(
    "text",
    [
        "Thanks to @peer-tube.channel@video.example for it.",
        "@a.b-c_d@sub.host-name.example, (@x@y.example)! cc @Some.One@Ünï.example",
        "#Agents & #retries — “quoted” <3 it’s 5 > 4 👩🏽‍💻 ❤️",
        "See https://www.example.org/a?b=c&d=e#f and http://example.org/@ada@example.org.",
        "A line with blanks at its end   \n\n* one\n* two \u00a0",
    ],
)
def test_a_status_is_recognized_whatever_it_names(key: Key, server: Mastodon, text: str) -> None:
    key.post = a_post(text)
    server.will(applies_and_hangs_up)
    key.attempt()

    found = key.find()

    assert found is not None
    assert found.id == server.statuses[0]["id"]


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        (lambda text: text.replace("https://www.", ""), True),
        (lambda text: text.replace("https://", ""), True),
        (lambda text: text.replace("https://www.example.org/one/two/three/four", "example.org/one/two…"), False),
        (lambda text: text.replace("https://www.example.org/one/two/three/four", "https://sho.rt/x"), False),
    ],
)
def test_a_link_that_the_server_changed_is_never_taken_for_absent(
    key: Key, server: Mastodon, shown: Callable[[str], str], found: bool
) -> None:
    key.post = a_post("https://www.example.org/one/two/three/four", title="New")
    server.rewrites = shown
    server.will(applies_and_hangs_up)
    key.attempt()

    if found:
        assert key.find() is not None
    else:
        with pytest.raises(LookupInconclusive, match="says nearly the same"):
            key.find()


def test_what_was_there_before_is_never_taken_for_this_post(key: Key, server: Mastodon) -> None:
    server.post_by_hand("Hello\n\nIt is out.")
    server.will(hangs_up)
    key.attempt()

    assert key.find() is None


def test_a_status_that_says_nearly_the_same_is_for_a_person(key: Key, server: Mastodon) -> None:
    key.post = a_post("One two three four five six seven eight nine ten.")
    server.rewrites = lambda text: text.replace("ten", "eleven")
    server.will(applies_and_hangs_up)
    key.attempt()

    with pytest.raises(LookupInconclusive, match="says nearly the same; see whether it is this post"):
        key.find()


def test_other_statuses_that_came_since_are_read_page_by_page(key: Key, server: Mastodon) -> None:
    server.will(applies_and_hangs_up)
    key.attempt()
    for number in range(100):
        server.post_by_hand(f"remark {number}")

    assert key.find() is not None
    assert len(server.requests("GET", "/statuses")) == 1 + 3


def test_a_flood_of_statuses_since_is_no_proof_of_absence(key: Key, server: Mastodon) -> None:
    server.will(hangs_up)
    key.attempt()
    for number in range(401):
        server.post_by_hand(f"remark {number}")

    with pytest.raises(LookupInconclusive, match="more than 400 statuses"):
        key.find()


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_look_up_that_is_refused_proves_nothing(key: Key, server: Mastodon, status: int) -> None:
    server.will(hangs_up)
    key.attempt()
    server.refuses["/statuses"] = says(status)

    with pytest.raises(HTTPError, match=f"Mastodon answered {status}"):
        key.find()


def test_the_list_of_another_account_proves_nothing(key: Key, server: Mastodon) -> None:
    server.will(applies_and_hangs_up)
    key.attempt()
    server.account = "77"

    with pytest.raises(LookupInconclusive, match="it was sent to account 109302"):
        key.find()


# What is not applied


@pytest.mark.parametrize("status", [401, 403, 404, 413, 422, 429])
def test_a_refusal_is_not_applied(key: Key, server: Mastodon, status: int) -> None:
    server.will(says(status, {"error": "Validation failed: no"}))

    assert key.attempt() == "not applied"
    assert f"Mastodon answered {status} to POST /api/v1/statuses: Validation failed: no" in str(key.error)


@pytest.mark.parametrize("path", ["/verify_credentials", "/instance", "/109302/statuses"])
@pytest.mark.parametrize("way", [hangs_up, says(500), says(200, "no object")])
def test_whatever_goes_wrong_before_the_status_is_sent_is_not_applied(
    key: Key, server: Mastodon, path: str, way: object
) -> None:
    server.refuses[path] = way  # type: ignore[assignment]

    assert key.attempt() == "not applied"
    assert server.requests("POST") == []


def test_a_server_that_is_away_is_not_applied(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    with_settings(monkeypatch, MASTODON_URL="http://127.0.0.1:9")

    assert key.attempt() == "not applied"


def test_without_a_token_nothing_is_asked_and_the_error_says_what_to_set(
    key: Key, server: Mastodon, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(monkeypatch, MASTODON_TOKEN="")

    with pytest.raises(NotConfigured, match="the destination mastodon needs MASTODON_TOKEN"):
        check("mastodon")
    assert key.attempt() == "not applied"
    assert server.asked == []


def test_another_posts_status_under_the_same_key_is_not_taken_for_this_one(
    key: Key, server: Mastodon, monkeypatch: pytest.MonkeyPatch
) -> None:
    Key("mastodon", a_post("From another place.")).kept_in(monkeypatch).attempt()
    key.kept_in(monkeypatch)

    assert key.attempt() == "not applied"
    assert "something else used this post's key" in str(key.error)
    server.forget_keys()
    assert not isinstance(key.attempt(), str)
    assert server.texts == ["Hello\n\nFrom another place.", "Hello\n\nIt is out."]


def test_the_token_is_a_secret(server: Mastodon) -> None:
    assert TOKEN not in redact.clean(f"the header was {TOKEN}")


# Length


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("word", 4),
        (WIDE, 23),
        ("https://a.io", 23),
        (f"see {WIDE}, or ({WIDE}).", 4 + 23 + 6 + 23 + 2),
        ("http://localhost:8000/posts/hello.html", 38),
        ("@ada@example.org said", 9),
        ("ada@example.org", 15),
        ("👨‍👩‍👧‍👦 👍🏽 🇿🇼", 5),
        ("cafe\u0301 ü 中文", 9),
    ],
)
def test_a_text_is_as_long_as_mastodon_counts_it(text: str, counted: int) -> None:
    assert mastodon.length(text) == counted


def test_a_long_post_fills_what_the_server_allows_and_keeps_its_link(key: Key, server: Mastodon) -> None:
    key.post = a_post("Some words of it. " * 60 + f"\n\n[All of it]({WIDE})")

    key.attempt()

    (text,) = server.texts
    assert text.endswith(f". …\n\n{WIDE}")
    assert 450 <= mastodon.length(text) <= 500


def test_a_server_that_allows_more_gets_more(key: Key, server: Mastodon) -> None:
    server.limits = {"max_characters": 5_000, "characters_reserved_per_url": 23}
    key.post = a_post("word " * 200)

    key.attempt()

    assert server.texts == ["Hello\n\n" + " ".join(["word"] * 200)]


def test_an_old_server_that_does_not_say_what_it_allows_gets_500(key: Key, server: Mastodon) -> None:
    server.limits = None
    key.post = a_post("word " * 200)

    key.attempt()

    assert 450 <= mastodon.length(server.texts[0]) <= 500


def test_the_note_holds_what_a_look_up_needs(key: Key, server: Mastodon) -> None:
    server.post_by_hand("before")
    key.attempt()

    assert json.loads(key.points["draft"]) == {
        "at": server.url,
        "account": server.account,
        "text": "Hello\n\nIt is out.",
        "after": server.statuses[0]["id"],
    }
