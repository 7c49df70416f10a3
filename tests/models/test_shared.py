"""Rate, breaker and pause belong to all processes together."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import settings
from clients.llm import providers
from state.limits import ProviderKeys
from state.redis import client
from tests.harness import Valkey, patient
from tests.models.conftest import Asker
from tests.models.server import ModelServer, says, sends
from tests.models.verdict import reply

#: Asks ten different questions from a process of its own; every process waits for the starting signal.
ASK = """
import sys
from redis import Redis
from clients.llm.fallback import Question, ask
from tests.models.verdict import RAW, Verdict
redis = Redis.from_url(sys.argv[1])
redis.rpush("ready", "here")
redis.blpop("go", 300)
for number in range(10):
    ask(Question("Judge.", f"{sys.argv[2]}-{number}", Verdict), rules=None, raw=lambda: RAW)
"""
PROCESSES = 2


def ask_from_many_processes(valkey: Valkey) -> None:
    redis = valkey.client()
    command = [sys.executable, "-c", ASK, valkey.url]
    processes = [
        subprocess.Popen([*command, str(number)], cwd=settings.ROOT, env=os.environ, stdout=subprocess.DEVNULL)
        for number in range(PROCESSES)
    ]
    for _ in processes:
        assert redis.blpop("ready", int(patient(60)))
    redis.rpush("go", *["go"] * PROCESSES)
    assert [process.wait(patient(60)) for process in processes] == [0] * PROCESSES


def test_an_open_breaker_holds_back_every_process_and_one_of_them_probes(
    asker: Asker, groq: ModelServer, minimax: ModelServer, valkey: Valkey
) -> None:
    groq.will(sends(500))
    minimax.will(says(reply()))
    for _ in range(3):
        asker.ask()
    asker.pass_time("open_until_ms")

    ask_from_many_processes(valkey)

    assert len(groq.asked) == 4


def test_a_pause_holds_back_every_process(
    asker: Asker, groq: ModelServer, minimax: ModelServer, valkey: Valkey
) -> None:
    groq.will(sends(429, retry_after="3600"))
    minimax.will(says(reply()))
    asker.ask()

    ask_from_many_processes(valkey)

    assert len(groq.asked) == 1


def test_a_rate_is_shared(asker: Asker, groq: ModelServer, minimax: ModelServer, valkey: Valkey) -> None:
    groq.will(says(reply()))
    minimax.will(says(reply()))
    before = client.now_ms(client.client())

    ask_from_many_processes(valkey)

    one_each = next(provider.limits.every_ms for provider in providers.configured() if provider.name == "groq")
    refilled = (client.now_ms(client.client()) - before) // one_each + 1
    assert 15 <= len(groq.asked) <= 15 + refilled


@pytest.mark.parametrize("change", ["GROQ_API_KEY", "GROQ_MODEL"])
def test_a_changed_provider_has_no_past(asker: Asker, groq: ModelServer, minimax: ModelServer, change: str) -> None:
    groq.will(sends(500))
    minimax.will(says(reply()))
    for _ in range(4):
        asker.ask()

    asker.set(**{change: "another"})
    asker.ask()

    assert len(groq.asked) == 4


def test_what_is_known_of_providers_is_forgotten_when_nobody_asks(
    asker: Asker, groq: ModelServer, minimax: ModelServer, valkey: Valkey
) -> None:
    groq.will(sends(400))
    minimax.will(sends(500))
    asker.ask()

    redis = valkey.client()
    lives = {str(key): redis.pttl(key) for key in redis.keys("gate:{provider/*")}

    assert len(lives) == 3
    assert all(0 < life <= 48 * 3600 * 1000 for life in lives.values()), lives
    assert ProviderKeys(providers.configured()[0].identity).record in lives
