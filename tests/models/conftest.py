"""Two providers, a Redis, and this process asking them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

import settings
from clients.llm import fallback, providers, request_form
from clients.llm.fallback import Answer, Question
from gatekeeper import redact
from state.limits import ProviderKeys
from state.redis import client
from tests.harness import Valkey
from tests.models.llmock import Llmock
from tests.models.server import ModelServer
from tests.models.verdict import RAW, RULES, Verdict

KEY = "gsk-very-secret"
#: How answers name their makers, with the models that are asked when none is set.
GROQ, MINIMAX = "groq/llama-3.3-70b-versatile", "minimax/MiniMax-M2"
#: Connects to REDIS_URL, which tests change; the fixture `valkey` replaces it by a client of its own server.
CLIENT_OF_SETTINGS = client.client


@pytest.fixture
def groq() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture
def minimax() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def llmock_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llmock]:
    server = Llmock(tmp_path_factory.mktemp("llmock"))
    yield server
    server.close()


@pytest.fixture
def mock(llmock_server: Llmock) -> Llmock:
    """llmock with nothing queued and nothing seen."""
    llmock_server.reset()
    return llmock_server


class Asker:
    """This process as an agent: its settings, and what it logged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, log: LogCapture) -> None:
        self._monkeypatch = monkeypatch
        self._log = log

    def set(self, **environ: str) -> None:
        """Change settings, as a restart with another environment would."""
        for name, value in environ.items():
            self._monkeypatch.setenv(name, value)
        forget_settings()

    def ask(self, prompt: str = "the numbers of today", rules: Any = lambda: RULES) -> Answer[Verdict]:
        return fallback.ask(Question("Judge the material.", prompt, Verdict), rules=rules, raw=lambda: RAW)

    @property
    def rungs(self) -> list[tuple[str, str, str]]:
        """Each rung that was told: who, how it ended, and why."""
        return [(line["by"], line["outcome"], line.get("why", "")) for line in self.told]

    @property
    def told(self) -> list[Any]:
        return [line for line in self._log.entries if line["event"] == "rung"]

    @property
    def logged(self) -> str:
        return str(self._log.entries)

    def pass_time(self, *fields: str) -> None:
        """Let every provider's moment, such as `open_until_ms`, have come."""
        redis = client.client()
        for provider in providers.configured():
            for field in fields:
                if redis.hexists(ProviderKeys(provider.identity).record, field):
                    redis.hset(ProviderKeys(provider.identity).record, field, 1)


def forget_settings() -> None:
    for cached in (settings.current, client.client, redact._secrets):
        cached.cache_clear()


@pytest.fixture
def asker(
    groq: ModelServer, minimax: ModelServer, valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Asker]:
    """Both providers configured by URL and key alone, with short timeouts and nothing known of them yet."""
    log = LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[log], cache_logger_on_first_use=False)
    monkeypatch.setattr(client, "client", CLIENT_OF_SETTINGS)
    request_form._known.clear()
    made = Asker(monkeypatch, log)
    made.set(
        STATE_DIR=str(tmp_path), REDIS_URL=valkey.url, HTTP_TIMEOUT="5", GROQ_URL=groq.url, GROQ_API_KEY=KEY,
        MINIMAX_URL=minimax.url, MINIMAX_API_KEY="mm-very-secret", GROQ_MODEL="", MINIMAX_MODEL="",
    )  # fmt: skip
    yield made
    client.client().close()
    structlog.configure(**before)
    monkeypatch.undo()
    forget_settings()
