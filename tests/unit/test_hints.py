"""Hints can be pasted: each names the program by a path that works where the person is, and quotes what a shell would read."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import settings
from state import hints

PACKAGES = ("server_urls", "state", "gatekeeper", "clients", "tasks", "workers", "web", "deploy")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    hints._program.cache_clear()
    yield
    hints._program.cache_clear()


def test_a_hint_is_relative_in_the_folder_and_whole_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "house" / ".venv" / "bin" / "python"))

    monkeypatch.chdir(tmp_path / "house")
    here = hints.gatehouse("status")
    hints._program.cache_clear()
    monkeypatch.chdir("/")

    assert here == ".venv/bin/gatehouse status"
    assert hints.gatehouse("status") == f"{tmp_path}/house/.venv/bin/gatehouse status"


@pytest.mark.parametrize("key", ["post:a b", "it's", "$(rm -rf /)", "a;b", "`id`", '"', "ünï", "x\ny", "-v"])
def test_a_key_is_one_word_for_a_shell(key: str) -> None:
    words = shlex.split(hints.gatehouse("explain", key))

    assert len(words) == 3
    assert words[2] == key.replace("\n", "\\n")


def test_every_message_takes_its_commands_from_here() -> None:
    named = [
        f"{path}:{number}"
        for package in PACKAGES
        for path in (settings.ROOT / package).rglob("*")
        if path.suffix in {".py", ".lua", ".inc", ".html"}
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "celery -A workers gate" in line and '"""' not in line
    ]

    assert named == []
