"""Fixtures for tests that speak to the scripts directly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

import settings
from tests.harness import Valkey
from tests.scripts.poster import Poster, a_gate

WithPolicies = Callable[..., Poster]


@pytest.fixture(autouse=True)
def own_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lock files of owners belong to the test, not to the checkout."""
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    settings.current.cache_clear()
    yield
    monkeypatch.undo()
    settings.current.cache_clear()


@pytest.fixture
def poster_with(valkey: Valkey) -> WithPolicies:
    """An effect task of the test's own policies on an empty ledger."""

    def poster(**policies: Any) -> Poster:
        return Poster(valkey.client(), a_gate(**policies))

    return poster


@pytest.fixture
def poster(poster_with: WithPolicies) -> Poster:
    """An effect task without any limit."""
    return poster_with()


@pytest.fixture
def together() -> Callable[[int, Callable[[int], Any]], list[Any]]:
    """Run a function in many threads, all at the same moment; answers what each returned."""

    def run(threads: int, function: Callable[[int], Any]) -> list[Any]:
        barrier = Barrier(threads)

        def one(number: int) -> Any:
            barrier.wait(10)
            return function(number)

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, range(threads)))

    return run
