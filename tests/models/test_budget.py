"""What models charge counts for the budget of a task at once: also if the attempt fails, or its worker is killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from state.redis.keys import Keys
from tests.harness import Install, Valkey, until
from tests.harness.shell import Shell
from tests.models.server import ModelServer, says

#: Each reply of the model costs this, as `says` reports it.
COST = 42
DAY_MS = 86_400_000


@pytest.fixture
def model() -> Iterator[ModelServer]:
    server = ModelServer()
    server.will(says('{"title": "by a model", "words": 3}'))
    yield server
    server.close()


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory, valkey: Valkey, model: ModelServer) -> Iterator[Install]:
    env = {"GROQ_URL": model.url, "GROQ_API_KEY": "g"}
    made = Install(tmp_path_factory.mktemp("house"), valkey.url, task_modules=["thinker"], env=env)
    yield made
    made.close()


@pytest.fixture
def shell(house: Install) -> Iterator[Shell]:
    made = Shell(house)
    yield made
    made.close()


def counted(valkey: Valkey) -> int:
    """The tokens that the budget of the task has."""
    return sum(map(int, valkey.client().hvals(Keys("thinker").budget("thinker.muse", DAY_MS, ""))))


def test_a_call_is_refused_once_models_charged_what_the_budget_has(
    shell: Shell, valkey: Valkey, model: ModelServer
) -> None:
    failed = shell.run("""
        import thinker
        try:
            thinker.muse("a", then="fail")
        except RuntimeError as error:
            answer = str(error)
    """)
    assert failed == "it thought in vain"
    assert counted(valkey) == COST, "the money of an attempt that failed is spent"
    assert shell.run("import thinker; answer = [thinker.muse(each)['ok'] for each in 'bc']") == [True, True]
    asked = len(model.asked)

    refused = shell.run("import thinker; answer = thinker.muse('d')")

    assert (refused["ok"], refused["error"], refused["stage"]) == (False, "budget used up", "budget")
    assert (refused["tokens"], refused["rule"]) == (3 * COST, "100 tokens/day")
    assert refused["retry_after"] > DAY_MS / 1000 - 3600
    assert len(model.asked) == asked, "no model was asked"
    assert [told["event"] for told in shell.gate("explain", "muse:c")["story"]].count("budget used up") == 1
    [status] = shell.gate("status", "thinker")
    assert status["metrics"]["tokens_groq"] == 3 * COST
    [budget] = status["budgets"]
    assert (budget["task"], budget["tokens"], budget["key"]) == ("thinker.muse", 3 * COST, "muse:c")
    text = " ".join(shell.celery("gate", "status", "thinker").stdout.split())
    assert "BUDGET USED UP" in text
    assert "thinker.muse spent 126 tokens of 100 tokens/day; it goes on in 24 h" in text


def test_a_reply_that_reports_no_tokens_counts_with_an_estimate(
    shell: Shell, valkey: Valkey, model: ModelServer
) -> None:
    model.will(says('{"title": "by a model", "words": 3}', usage={}))

    answers = shell.run("import thinker; answer = [thinker.muse(each) for each in ['a' * 200, 'b']]")

    assert [answer["ok"] for answer in answers] == [True, False]
    assert answers[1]["error"] == "budget used up"
    told = next(each for each in shell.gate("explain", "muse:" + "a" * 200)["story"] if each["event"] == "rung")
    assert (told["tokens"], told["estimated_tokens"]) == (0, counted(valkey))
    [status] = shell.gate("status", "thinker")
    assert "tokens_groq" not in status["metrics"], "the metric has what providers report"


@pytest.mark.slow
def test_the_tokens_of_a_worker_that_is_killed_count(house: Install, valkey: Valkey, shell: Shell) -> None:
    first = house.worker()
    [call] = shell.delay("thinker.muse", {"subject": "deep", "then": "hang"})
    until((house.notes_dir / "muse deep").exists, 20, "the attempt hangs")
    assert counted(valkey) == COST

    first.kill9()
    house.worker()

    assert house.answer(call, 60)["ok"]
    assert counted(valkey) == 2 * COST
