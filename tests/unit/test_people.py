"""Who counts as somebody who looks: a person at a terminal, and not a program."""

from __future__ import annotations

import sys

import pytest

from state.agents import attention
from tests.harness import Valkey
from workers.people import note_that_somebody_looks, person


@pytest.mark.parametrize(
    ("json_", "is_terminal", "counts"), [(False, True, True), (True, True, False), (False, False, False)]
)
def test_a_person_at_a_terminal_looks_and_a_program_does_not(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch, *, json_: bool, is_terminal: bool, counts: bool
) -> None:
    assert valkey.alive
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: is_terminal, raising=False)

    note_that_somebody_looks(json_=json_)

    look = attention.last_looked()
    assert (look.by if look else None) == (person() if counts else None)


def test_a_redis_that_is_away_does_not_stop_the_command(
    fragile_valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragile_valkey.stop()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    note_that_somebody_looks(json_=False)
