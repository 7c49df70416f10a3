"""Installations in which the shipped agents work: without models, with two, and with two that may be switched off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import a_valkey
from tests.harness import Install, Valkey
from tests.models.server import ModelServer
from tests.work.agents import Agents


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    server = a_valkey()
    yield server.url
    server.close()


@pytest.fixture(scope="session")
def _without_models(tmp_path_factory: pytest.TempPathFactory, server_url: str) -> Iterator[Agents]:
    made = Agents(Install(tmp_path_factory.mktemp("alone"), server_url, task_modules=[]))
    yield made
    made.close()


@pytest.fixture
def alone(_without_models: Agents) -> Agents:
    """An installation without any key of a model."""
    _without_models.begin()
    return _without_models


@pytest.fixture(scope="session")
def models() -> Iterator[tuple[ModelServer, ModelServer]]:
    servers = ModelServer(), ModelServer()
    yield servers
    for server in servers:
        server.close()


@pytest.fixture
def groq(models: tuple[ModelServer, ModelServer]) -> ModelServer:
    return models[0]


@pytest.fixture
def minimax(models: tuple[ModelServer, ModelServer]) -> ModelServer:
    return models[1]


def keys(groq: ModelServer, minimax: ModelServer) -> dict[str, str]:
    """The settings that lead to both servers."""
    return {
        "GROQ_URL": groq.url,
        "GROQ_API_KEY": "groq-key",
        "MINIMAX_URL": minimax.url,
        "MINIMAX_API_KEY": "minimax-key",
        "HTTP_TIMEOUT": "10",
    }


@pytest.fixture(scope="session")
def _with_models(
    tmp_path_factory: pytest.TempPathFactory, server_url: str, models: tuple[ModelServer, ModelServer]
) -> Iterator[Agents]:
    made = Agents(Install(tmp_path_factory.mktemp("helped"), server_url, task_modules=[], env=keys(*models)))
    yield made
    made.close()


@pytest.fixture
def helped(_with_models: Agents) -> Agents:
    """An installation with two models."""
    _with_models.begin()
    return _with_models


@pytest.fixture
def doomed(tmp_path: Path, valkey: Valkey) -> Iterator[tuple[Agents, ModelServer, ModelServer]]:
    """An installation with a worker, and two models of its own that a test may switch off."""
    groq, minimax = ModelServer(), ModelServer()
    made = Agents(Install(tmp_path / "doomed", valkey.url, task_modules=[], env=keys(groq, minimax)))
    made.begin()
    made.install.worker(concurrency=2)
    yield made, groq, minimax
    made.close()
    groq.close()
    minimax.close()
