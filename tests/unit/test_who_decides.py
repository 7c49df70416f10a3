"""By: who decides, by which door and why, as it is stored and shown everywhere."""

from __future__ import annotations

import pytest

import settings
from gatekeeper import redact
from workers.decisions import By, NotDecided
from workers.decisions.by import MAX_NAME, MAX_WHY


def test_a_reason_is_one_line_and_shows_what_a_terminal_would_obey() -> None:
    by = By("ada\n", "desk", "looked\n\tat it: \x1b[31mred\x1b[0m \u202eback")

    assert (by.name, by.why) == ("ada", r"looked at it: \x1b[31mred\x1b[0m \u202eback")


def test_a_reason_contains_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_PASSWORD", "correct-horse")
    settings.current.cache_clear()
    redact._secrets.cache_clear()
    try:
        assert By("ada", "desk", "I signed in with correct-horse").why == "I signed in with [hidden]"
    finally:
        monkeypatch.undo()
        settings.current.cache_clear()
        redact._secrets.cache_clear()


def test_a_long_reason_is_cut() -> None:
    by = By("a" * 9999, "api", "w" * 9999)

    assert (len(by.name), len(by.why)) == (MAX_NAME + 1, MAX_WHY + 1)
    assert by.why.endswith("w…")


@pytest.mark.parametrize(
    ("name", "door", "why", "says"),
    [
        ("", "desk", "looked", "say who you are"),
        ("ada", "desk", " \n ", "say why in one line"),
        ("ada", "window", "looked", "'window' is not a door; there are: command, desk, api, mcp, link"),
    ],
)
def test_nobody_decides_without_a_name_a_reason_and_a_door(name: str, door: str, why: str, says: str) -> None:
    with pytest.raises(NotDecided, match=says):
        By(name, door, why)
