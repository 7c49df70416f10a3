"""Secrets are removed, in every form in which a text can hold them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, assume, example, given
from hypothesis import settings as limits
from hypothesis import strategies as st

import settings
from clients.http import exchange
from gatekeeper import redact
from gatekeeper.redact import HIDDEN, MAX_TEXT, clean, describe, hide_secrets

#: Long enough not to occur in other text by chance, with every character that quoting changes.
secrets = st.text(
    st.one_of(st.sampled_from("\"'\\/@:%&?#+ éß€\n\t"), st.characters(codec="utf-8")), min_size=6, max_size=20
)
around = st.text(st.characters(codec="utf-8"), max_size=20)

#: The forms in which a secret gets into a log line, a state file or Redis.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "in JSON": json.dumps,
    "in readable JSON": lambda text: json.dumps(text, ensure_ascii=False),
    "in JSON in JSON": lambda text: json.dumps(json.dumps({"secret": text})),
    "in readable JSON in JSON": lambda text: json.dumps(json.dumps(text, ensure_ascii=False), ensure_ascii=False),
    "in a URL": lambda text: f"https://host/path?x={quote(text, '')}",
    "in a path": lambda text: f"https://host/{quote(text)}/x",
    "in a form": quote_plus,
    "as Python prints it": repr,
    "as Python prints it in JSON": lambda text: json.dumps(repr(text), ensure_ascii=False),
}


@pytest.fixture
def with_secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Make this text the only secret of the installation."""

    def install(secret: str) -> None:
        monkeypatch.setattr(
            settings, "current", lambda: settings.read({"REDIS_URL": f"redis://:{quote(secret, '')}@h/0"})
        )
        redact._secrets.cache_clear()

    yield install
    monkeypatch.undo()
    redact._secrets.cache_clear()


@pytest.mark.parametrize("spelling", SPELLINGS)
@limits(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(secret=secrets, before=around, after=around)
@example(secret='quote " and é', before="", after="")
@example(secret="back\\slash", before="", after="")
@example(secret='it\'s "both" ', before="", after="")
@example(secret="line\nbreak", before="", after="")
def test_a_secret_never_survives(
    spelling: str, secret: str, before: str, after: str, with_secret: Callable[[str], None]
) -> None:
    secret = secret.strip()
    assume(len(secret) >= 6)
    assume(secret not in before + after + HIDDEN)
    with_secret(secret)
    spelt = SPELLINGS[spelling](secret)

    hidden = hide_secrets(f"{before}<{spelt}>{after}")

    for form in {secret, json.dumps(secret)[1:-1], quote(secret, ""), repr(secret)[1:-1], spelt}:
        assert f"<{form}>" not in hidden
        assert form not in hidden or form in before + after


def test_a_secret_within_a_longer_one_does_not_uncover_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings.read({"DESK_PASSWORD": "inner", "REDIS_URL": "redis://:outer-inner-outer@h/0"})
    monkeypatch.setattr(settings, "current", lambda: chosen)
    redact._secrets.cache_clear()

    assert hide_secrets("a outer-inner-outer b inner c") == f"a {HIDDEN} b {HIDDEN} c"

    redact._secrets.cache_clear()


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("redis://:hunter22@host:6379/0", "hunter22"),
        ("rediss://user:hunter22@host", "hunter22"),
        ("https://token@api.example/x", "token@"),
        ("GET https://api.example/x?access_token=hunter22&page=2", "hunter22"),
        ("https://api.example/x?a=1&api_key=hunter22", "hunter22"),
        ("https://api.example/x?Signature=hunter22#part", "hunter22"),
        ("Authorization: Bearer hunter22hunter22", "hunter22"),
        ("authorization: basic aHVudGVyMjI6eA==", "aHVudGVyMjI6eA"),
        ('{"url": "https://u:hunter22@h/", "next": 1}', "hunter22"),
    ],
)
def test_credentials_that_nobody_configured_are_hidden_too(text: str, gone: str) -> None:
    hidden = hide_secrets(text)

    assert gone not in hidden
    assert HIDDEN in hidden


@pytest.mark.parametrize(
    "text",
    [
        "published hello to feed",
        "publish:feed:hello",
        "https://example.org/posts/hello?page=2",
        "10 tokens left",
        "a@b.example",
        '{"a": "b"}',
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert hide_secrets(text) == text


def test_a_long_text_is_cut_only_after_its_secrets_are_hidden(with_secret: Callable[[str], None]) -> None:
    with_secret("correct-horse-battery")

    cut = clean("x" * (MAX_TEXT - 10) + "correct-horse-battery" + "y" * 50)

    assert "corr" not in cut
    assert len(cut) < MAX_TEXT + 50


def test_what_a_log_shows_of_a_long_body_ends_in_no_half_of_a_secret(with_secret: Callable[[str], None]) -> None:
    with_secret("correct-horse-battery")

    shown = exchange._shown("x" * (exchange.MAX_SHOWN - 8) + "correct-horse-battery" + "y" * 50)

    assert "correct" not in shown


def test_an_exception_becomes_one_clean_line(with_secret: Callable[[str], None]) -> None:
    with_secret("correct-horse")

    assert describe(ValueError("bad password correct-horse")) == f"ValueError: bad password {HIDDEN}"
    assert describe(KeyError()) == "KeyError"


def test_what_is_cleaned_can_be_stored_whatever_bytes_a_file_name_has() -> None:
    name = b"caf\xe9.md".decode("utf-8", "surrogateescape")

    assert clean(f"{name}: no such file").encode()


@pytest.mark.parametrize("scheme", ["Bearer", "BASIC", "token", "ba\u017fic", "bas\u0131c"])
def test_a_credential_is_hidden_behind_each_spelling_of_its_scheme(scheme: str) -> None:
    assert "abcdefgh12" not in hide_secrets(f"Authorization: {scheme} abcdefgh12")
