"""API_TOKENS: who may do what, one sentence for what cannot be read, and no token in any message."""

from __future__ import annotations

import pytest

import settings
from api_token import DECIDE, READ, ApiToken, UnusableTokens, find, read


def test_a_plain_pair_may_do_everything() -> None:
    (owner,) = read("owner:secret-1")

    assert (owner.name, owner.token) == ("owner", "secret-1")
    assert owner.may(READ)
    assert owner.may(DECIDE)
    assert owner.may_call("tasks.publisher.publish")


def test_listed_rights_are_all_the_rights_there_are() -> None:
    (ci,) = read("ci:secret-1:read,tasks.publisher.*")

    assert ci.may(READ)
    assert not ci.may(DECIDE)
    assert ci.may_call("tasks.publisher.publish")
    assert not ci.may_call("tasks.writer.draft")
    assert ci.tasks == ("tasks.publisher.*",)


def test_one_name_may_have_two_tokens_while_they_are_exchanged() -> None:
    tokens = read("ops:old-secret  ops:new-secret")

    assert [find(tokens, each) for each in ("old-secret", "new-secret", "other")] == [*tokens, None]


@pytest.mark.parametrize("given", ["", "secret", "secret-11", "SECRET-1", "sécret-1", "\udc80"])
def test_another_token_is_not_found_whatever_its_characters(given: str) -> None:
    assert find(read("ops:secret-1"), given) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("canary", "number 1"),
        ("ops:canary-a :canary-b", "number 2"),
        ("my ops:canary", "number 1"),
        ("o,ps:canary", "number 1"),
        ("ops:", "that a client cannot send"),
        ("ops:canäry", "that a client cannot send"),
        ("ops:canary:read:decide", "without a colon"),
        ("ops:canary:", "a right that does not exist"),
        ("ops:canary:canary", "a right that does not exist"),
        ("ops:canary:read,,decide", "a right that does not exist"),
        ("ops:canary,ci:canary", "a token for ops"),
        ("ops:canary ci:canary", "for both ops and ci"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_without_the_token(text: str, says: str) -> None:
    with pytest.raises(UnusableTokens) as refusal:
        read(text)

    assert says in str(refusal.value)
    assert "can" + "ary" not in str(refusal.value)


def test_the_setting_is_refused_by_its_name_and_its_tokens_are_secrets() -> None:
    with pytest.raises(settings.SettingsError, match=r"^API_TOKENS "):
        settings.read({"API_TOKENS": "nonsense"})

    found = settings.read({"API_TOKENS": "ops:canary-token"})

    assert "canary-token" in found.secrets
    assert "canary-token" not in repr(found)


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(ApiToken("ops", "secret"))
