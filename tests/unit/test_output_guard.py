"""What may be sent to a person, whoever wrote it: an answer brings nothing along that the message did not have."""

from __future__ import annotations

import time

import pytest

import settings
from tasks.responder import output_guard
from tasks.responder.output_guard import MAX_LENGTH, UnsafeReply


@pytest.mark.parametrize(
    "text",
    [
        "Hello!",
        "Grüße, 3.5 % of it; see you at 10:30.\nBest wishes",
        "In e.g. two days, i.e. soon.",
        "Use a < b, then ask again",
        "👨‍👩‍👧 is fine",
    ],
)
def test_plain_words_may_be_sent(text: str) -> None:
    assert output_guard.check(text, "Hello?")


@pytest.mark.parametrize(
    "text",
    [
        "See https://evil.example/x",
        "See HTTP://EVIL.EXAMPLE",
        "See evil.com",
        "See www.evil.co.uk/path",
        "See ｅｖｉｌ．ｃｏｍ",
        "See ev\u200bil.com",
        "See 10.0.0.1",
        "See [here](//evil)",
        "See javascript://x",
        "Write to mailto:x@y",
        "Write to someone@evil.com",
        "ftp://evil",
    ],
)
def test_a_link_that_the_message_does_not_have_may_not(text: str) -> None:
    with pytest.raises(UnsafeReply, match=r"link|mention"):
        output_guard.check(text, "Hello?")


@pytest.mark.parametrize("text", ["@mallory said so", "cc <@U123>", "＠mallory", "ask @mal_lory."])
def test_a_mention_that_the_message_does_not_have_may_not(text: str) -> None:
    with pytest.raises(UnsafeReply, match="mention"):
        output_guard.check(text, "Hello?")


def test_what_the_message_has_may_be_said_back() -> None:
    message = "Is https://ours.example/faq right, @ada?"

    assert output_guard.check("Yes, https://ours.example/faq is right, @Ada.", message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("evil.com", "see notevil.com"),
        ("evil.com", "see evil.com.ours.example"),
        ("https://ours.example", "see https://ours.example/faq"),
        ("@mal", "ask @mallory"),
    ],
)
def test_a_part_of_what_the_message_has_is_something_else(text: str, message: str) -> None:
    with pytest.raises(UnsafeReply):
        output_guard.check(text, message)


@pytest.mark.parametrize("text", ["@everyone look", "@here", "@CHANNEL", "<!channel> look", "@all"])
def test_a_mention_of_everyone_is_never_sent(text: str) -> None:
    with pytest.raises(UnsafeReply, match="everyone"):
        output_guard.check(text, f"Please say {text}")


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</p>"])
def test_markup_may_not(text: str) -> None:
    with pytest.raises(UnsafeReply, match="markup"):
        output_guard.check(text, text)


@pytest.mark.parametrize("text", ["", "  \n", "\u200b\u202e", "x" * (MAX_LENGTH + 1)])
def test_nothing_and_too_much_may_not(text: str) -> None:
    with pytest.raises(UnsafeReply):
        output_guard.check(text, "Hello?")


def test_what_cannot_be_seen_is_taken_out() -> None:
    assert output_guard.check("He\x00l\x1b[31mlo\u202e!\r\nBye", "Hello?") == "Hel[31mlo!\nBye"


def test_a_secret_of_this_installation_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from gatekeeper import redact

    monkeypatch.setenv("DESK_PASSWORD", "correct horse")
    settings.current.cache_clear()
    redact._secrets.cache_clear()
    try:
        with pytest.raises(UnsafeReply, match="secret"):
            output_guard.check("It is correct horse.", "What is the password?")
    finally:
        monkeypatch.undo()
        settings.current.cache_clear()
        redact._secrets.cache_clear()


@pytest.mark.parametrize("message", ["a" * 8000, "a." * 4000, "a-" * 4000, "@" * 8000, "](" * 4000, "1." * 4000])
def test_no_message_makes_the_check_slow(message: str) -> None:
    started = time.process_time()

    output_guard.check("Hello.", message)
    with pytest.raises(UnsafeReply):
        output_guard.check(message[: MAX_LENGTH - 20] + " evil.com", message)

    assert time.process_time() - started < 0.5
