"""A task asks the ladder: its rung, its tokens and its story say how the answer was made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.redis.keys import Keys
from tests.harness import Install, Valkey
from tests.harness.shell import Shell
from tests.models.server import ModelServer, breaks_off, says, sends

THOUGHT = '{"title": "by a model", "words": 3}'


@pytest.fixture(scope="module")
def groq() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def minimax() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, valkey_server: Valkey, groq: ModelServer, minimax: ModelServer
) -> Iterator[Install]:
    env = {"GROQ_URL": groq.url, "GROQ_API_KEY": "g", "MINIMAX_URL": minimax.url, "MINIMAX_API_KEY": "m"}
    made = Install(tmp_path_factory.mktemp("house"), valkey_server.url, task_modules=["thinker"], env=env)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shell(house: Install) -> Iterator[Shell]:
    made = Shell(house)
    yield made
    made.close()


def test_an_answer_carries_its_rung_its_maker_and_its_tokens_to_the_state(
    shell: Shell, valkey: Valkey, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(sends(500))
    minimax.will(says(THOUGHT))

    answer = shell.run("import thinker; answer = thinker.think('a')")

    assert (answer["ok"], answer["rung"]) == (True, "model")
    assert answer["result"]["value"] == {"title": "by a model", "words": 3}
    assert answer["result"]["by"] == "minimax/MiniMax-M2"
    metrics = valkey.client().hgetall(Keys("thinker").metrics)
    assert metrics["tokens_minimax"] == "42"
    assert "tokens_groq" not in metrics


def test_the_story_tells_each_rung_and_why_it_was_left(
    shell: Shell, valkey: Valkey, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(sends(401, {"error": {"message": "bad key"}}))
    minimax.will(says("prose"))

    answer = shell.run("import thinker; answer = thinker.think('b')")
    story = shell.gate("explain", "think:b")["story"]

    assert answer["rung"] == "rules"
    rungs = [event for event in story if event["event"] == "rung"]
    assert [(event["by"], event["outcome"]) for event in rungs] == [
        ("groq/llama-3.3-70b-versatile", "failed"),
        ("minimax/MiniMax-M2", "failed"),
        ("rules", "answered"),
    ]
    assert rungs[0]["why"] == "HTTP 401"
    assert "GROQ_API_KEY" in rungs[0]["hint"]
    assert (rungs[1]["why"], rungs[1]["tokens"]) == ("the reply is not JSON", 42)


def test_a_model_that_does_not_work_has_failed_and_is_not_unknown_as_an_effect_would_be(
    shell: Shell, valkey: Valkey, groq: ModelServer, minimax: ModelServer
) -> None:
    groq.will(sends(500))
    minimax.will(breaks_off(THOUGHT))

    answer = shell.run("import thinker; answer = thinker.think('c')")
    story = shell.gate("explain", "think:c")["story"]

    assert answer["rung"] == "rules"
    assert [event["outcome"] for event in story if event["event"] == "http"] == ["failed", "failed"]
    assert "unknown" not in json.dumps(story)


def test_an_effect_that_accepts_models_only_is_not_sent_with_an_answer_of_the_rules(
    shell: Shell, valkey: Valkey, groq: ModelServer, minimax: ModelServer, tmp_path: Path
) -> None:
    groq.will(sends(500))
    minimax.will(sends(500))
    file = tmp_path / "told"

    answer = shell.run("import thinker; answer = thinker.tell('c', file)", file=str(file))

    assert (answer["ok"], answer["error"]) == (False, "rung too low")
    assert not file.exists()


@pytest.mark.slow
def test_the_doctor_asks_each_model_when_it_is_told_to(house: Install, groq: ModelServer, minimax: ModelServer) -> None:
    groq.will(sends(401, {"error": {"message": "no such key"}}))
    minimax.will(says("{}"))
    before = len(groq.asked)

    quiet = json.loads(house.celery("gate", "doctor", "--json").stdout)
    done = house.celery("gate", "doctor", "--online", "--json")

    rows = {row["check"]: row for row in json.loads(done.stdout)}
    assert {row["check"]: row["found"] for row in quiet}[
        "models"
    ] == "groq/llama-3.3-70b-versatile, minimax/MiniMax-M2; --online asks them"
    assert len(groq.asked) == before + 1
    assert (rows["model groq"]["ok"], rows["model minimax"]["ok"], done.returncode) == (False, True, 1)
    assert "GROQ_API_KEY" in rows["model groq"]["change"]
