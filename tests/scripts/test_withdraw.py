"""withdraw.lua: a registration that cannot be written down is taken back, so that its caller's exception is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import settings
from state.errors import JournalUnavailable
from state.options import Options
from tests.scripts.poster import HOUR, Poster


@pytest.fixture
def unwritable() -> Callable[[], None]:
    """Put a file where the journal's folder is."""

    def close() -> None:
        folder = Path(settings.current().state_dir) / "journal"
        if folder.exists():
            folder.rename(folder.with_name("away"))
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.touch()

    return close


@pytest.mark.parametrize("delay_ms", [0, HOUR])
def test_nothing_is_left_of_it(poster: Poster, unwritable: Callable[[], None], delay_ms: int) -> None:
    unwritable()
    before = poster.dump()
    call = replace(poster.call(), options=Options(queue="slowq", then=[{"task": "poster.post"}]).as_json())

    with pytest.raises(JournalUnavailable):
        poster.ledger.register(call, delay_ms)

    assert poster.dump() == before


def test_what_an_earlier_call_left_stays(poster: Poster, unwritable: Callable[[], None]) -> None:
    poster.settle(poster.claim(poster.register()), "failed")
    unwritable()
    before = poster.key_of("post:feed:hello"), poster.story("post:feed:hello")

    with pytest.raises(JournalUnavailable):
        poster.ledger.register(poster.call())

    after = poster.key_of("post:feed:hello")
    assert (after["state"], after["attempts"]) == ("rejected", before[0]["attempts"])
    assert poster.story("post:feed:hello") == before[1]


def test_the_key_of_another_call_is_left_alone(poster: Poster, unwritable: Callable[[], None]) -> None:
    first = poster.register()
    poster.register(poster.call())  # what is told of a key is a list from the second event on
    unwritable()
    before = poster.dump()

    with pytest.raises(JournalUnavailable):
        poster.ledger.register(poster.call())

    assert poster.dump() == before
    assert poster.key_of(first.key)["call"] == first.id
