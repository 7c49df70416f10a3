"""The responder's own rules: whom it does not answer, and what it says without a model."""

from __future__ import annotations

import pytest

from tasks.responder import ACKNOWLEDGEMENT, RULES, bot_reason, by_rules, output_guard


@pytest.mark.parametrize(
    "sender",
    ["gatehouse", "Gatehouse", "@gatehouse", " gatehouse ", "ｇａｔｅｈｏｕｓｅ", "dependabot[bot]", "renovate-bot", "news_bot",
     "bot", "BOT", "Ada Bot", "ada.bot", "TetrisBot", "Gpt4Bot", "ｎｅｗｓ-ｂｏｔ", "x[bot] "],
)  # fmt: skip
def test_itself_and_bots_are_not_answered(sender: str) -> None:
    assert bot_reason(sender)


@pytest.mark.parametrize(
    "sender", ["ada", "Talbot", "abbot", "Elliot Abbott", "botany", "robotics-club", "gatehouse-fan", "ß"]
)
def test_people_are(sender: str) -> None:
    assert not bot_reason(sender)


@pytest.mark.parametrize(
    ("message", "part"),
    [
        ("Hello there", "Hello!"),
        ("Where is the feed?", "question"),
        ("can you tell me more", "question"),
        ("Thanks a lot", "welcome"),
        ("The feed is broken, thanks", "sorry"),
        ("STOP", "Understood"),
        ("", "Thank you for your message"),
        ("\u00e9\u00e8 \x00", "Thank you for your message"),
    ],
)
def test_the_rules_answer_what_stands_in_the_message(message: str, part: str) -> None:
    assert part in by_rules(message).reply


@pytest.mark.parametrize("reply", [*RULES.values(), ACKNOWLEDGEMENT])
def test_every_answer_of_ours_may_be_sent_to_anybody(reply: str) -> None:
    assert output_guard.check(reply, "") == reply
