"""Links of alerts: signed here, for one version of one key, for a day, and for one decision."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest

from state import decision_link
from state.decision_link import UnusableLink
from tests.desk.conftest import HERE
from tests.harness import Valkey

KEY = "publish:feed:a/post with ünïcode\u202e?#"


def token(key: str = KEY) -> str:
    url = decision_link.decision_link("publisher", key, "0123456789abcdef")
    assert url.startswith(f"{HERE}/decide/")
    return urlsplit(url).path.removeprefix("/decide/")


def test_a_link_tells_the_key_and_the_version_that_were_seen() -> None:
    found = decision_link.read(token())

    assert (found.agent, found.key, found.version) == ("publisher", KEY, "0123456789abcdef")
    assert abs(found.expires - time.time() - 24 * 3600) < 5


def test_a_link_that_was_changed_or_made_elsewhere_is_refused() -> None:
    good, other = token(), token("publish:feed:other")
    forged = other.partition(".")[0] + "." + good.partition(".")[2]
    for bad in (forged, good[:-1], good + "A", "", ".", "x.y", "é.é", "a" * 20_000, good.partition(".")[0]):
        with pytest.raises(UnusableLink):
            decision_link.read(bad)


def test_a_link_expires_after_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    old = token()
    later = time.time() + decision_link.MAX_AGE + 1
    monkeypatch.setattr(time, "time", lambda: later)

    with pytest.raises(UnusableLink, match="expired"):
        decision_link.read(old)


def test_a_link_is_spent_once_and_given_back_if_nothing_was_decided(valkey: Valkey) -> None:
    mine = token()
    assert not decision_link.is_spent(mine)

    assert [decision_link.spend(mine), decision_link.spend(mine)] == [True, False]
    assert decision_link.is_spent(mine)
    decision_link.give_back(mine)

    assert decision_link.spend(mine)


def test_the_page_of_a_key_has_every_character_of_the_key_escaped() -> None:
    assert decision_link.page_url(decision_link.key_path("publisher", "a/b?c#d é")) == (
        f"{HERE}/keys/publisher/a%2Fb%3Fc%23d%20%C3%A9"
    )
