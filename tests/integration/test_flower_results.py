"""Read the result column of Flower through its API, which also feeds its table."""

from __future__ import annotations

import ast
import json
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.harness import Install, patient, until
from tests.harness.shell import Shell
from workers import result_text


def shown(house: Install, call: str) -> str:
    """Return the text of the result that Flower's API shows, once the call has ended."""

    def ask() -> str:
        with build_opener(ProxyHandler({})).open(
            f"{house.flower_url}/api/tasks?limit=1000", timeout=patient(10)
        ) as answer:
            return str(json.load(answer)[call]["result"] or "")

    return until(ask, what=f"the result of {call} in Flower")


@pytest.fixture(scope="module", params=["threads", "prefork"])
def calls(request: pytest.FixtureRequest, house: Install, shell: Shell) -> dict[str, str]:
    """Make a call of each kind of answer; return its id by what the column must begin with."""
    pool = request.param
    if pool == "threads":
        house.flower()
    else:
        house.processes[-1].kill9()
    house.worker(pool=pool, concurrency=1)
    number = 1 + (pool == "prefork")
    done = shell.delay("counter.add", {"a": 1, "b": 2})[0]
    limited = shell.delay("counter.limited", *({"n": n} for n in range(4)))
    first = shell.delay("counter.capped", {"n": 1})[0]
    house.results([done, *limited, first])
    again = shell.delay("counter.capped", {"n": 1})[0]
    flawed = shell.delay("counter.garbled", {"n": number})[0]
    house.results([again, flawed])
    deferred = shell.delay("clerk.hourly", *({"n": n} for n in range(2)))[-1]
    house.result(deferred)
    return {
        "done": done,
        "refused: rate limited (again in ": limited[-1],
        "replayed: it was done before": again,
        "done with a flaw: output validation failed": flawed,
        "deferred: rate limited (again in ": deferred,
    }


def test_the_result_column_begins_with_what_happened_and_why(house: Install, calls: dict[str, str]) -> None:
    for words, call in calls.items():
        text = shown(house, call)
        assert text.startswith(words), text


def test_the_stored_answer_is_the_dict_alone(house: Install, calls: dict[str, str]) -> None:
    for words, call in calls.items():
        answer = house.answer(call)
        assert isinstance(answer["ok"], bool)
        text = shown(house, call)
        assert ast.literal_eval(text[text.index("{") :]) == answer, words


def test_the_table_says_why_a_task_failed(house: Install, shell: Shell, calls: dict[str, str]) -> None:
    (call,) = shell.delay("counter.fail", {"times": 9, "name": f"flower-{len(house.processes)}"})
    house.result(call)
    query = "draw=1&start=0&length=100&order[0][column]=0&order[0][dir]=desc&columns[0][data]=received"

    def row() -> str:
        with build_opener(ProxyHandler({})).open(
            f"{house.flower_url}/tasks/datatable?{query}", timeout=patient(10)
        ) as answer:
            return str({each["uuid"]: each["result"] or "" for each in json.load(answer)["data"]}[call])

    assert until(row, what="the row of the failed task").startswith("failed: RuntimeError(")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"ok": False, "key": None, "error": "invalid arguments", "stage": "input"}, "refused: invalid arguments  {"),
        ({"ok": False, "key": "k", "error": "flaw", "replayed": True}, "replayed: flaw  {"),
        ({"ok": True, "key": "k", "result": "x" * 5000, "replayed": False}, "done  {"),
        ({"ok": False, "key": "k", "error": "e" * 900, "retry_after": 3}, f"refused: {'e' * 191} (again in 3 s)  {{"),
        ({"ok": False, "key": "k", "error": "paused", "why": "to look"}, "refused: paused: to look  {"),
        ({"ok": False, "key": "k", "error": "no such post", "detail": "no such post"}, "refused: no such post  {"),
        ({"ok": "yes"}, "{'ok': 'yes'}"),
        (None, "None"),
        (3, "3"),
    ],
)
def test_a_result_in_words(result: Any, words: str) -> None:
    assert result_text.describe(result, 1024).startswith(words)
