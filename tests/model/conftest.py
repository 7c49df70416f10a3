"""A stage for tests that walk through the protocol on the real thing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import settings
from tests.harness import Valkey
from tests.model.stage import Stage


@pytest.fixture
def own_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lock files of owners belong to the test, not to the checkout."""
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    settings.current.cache_clear()
    yield
    monkeypatch.undo()
    settings.current.cache_clear()


@pytest.fixture
def stage(valkey: Valkey, tmp_path: Path, own_state_folder: None) -> Iterator[Stage]:
    made = Stage(valkey.client(), tmp_path / "journal")
    yield made
    made.close()
