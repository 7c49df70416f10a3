"""The HTTP API over real HTTP, with a real worker behind it: what each request is answered, and what it starts."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests import senders
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.shell import Shell
from tests.programs import CALLER, READER, Program, fresh, problem

pytestmark = pytest.mark.usefixtures("web")


# Calling a task


def test_a_call_is_accepted_with_the_address_of_its_end(owner: Program) -> None:
    answer = owner.call("counter.add", "accepted", a=20, b=22)

    assert answer.status == 202
    assert answer.content["call"] == "api:owner:counter.add:accepted"
    assert answer.headers["location"] == answer.content["status_url"]
    ended = until(lambda: _ended(answer.content["status_url"]), 20, "the end of the call")
    assert (ended["state"], ended["result"]) == ("done", 42)


def _ended(url: str) -> dict[str, Any] | None:
    seen = senders.send(url, b"", {}, "GET")
    assert seen.status == 200, seen
    return seen.content if seen.content["state"] == "done" else None


def test_a_program_that_waits_gets_the_answer(owner: Program) -> None:
    answer = owner.call("counter.add", fresh(), wait=20, a=1, b=2)

    assert answer.status == 200, answer
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.content == {
        "call": answer.content["call"], "status_url": answer.content["status_url"], "state": "done",
        "ok": True, "key": f"counter.add:{answer.content['call']}", "result": 3, "rung": None, "replayed": False,
    }  # fmt: skip


def test_a_call_that_takes_longer_than_the_program_waits_is_202(owner: Program) -> None:
    answer = owner.call("counter.sleepy", fresh(), wait=1, seconds=30)

    assert answer.status == 202
    assert answer.content["state"] in {"queued", "claimed"}


def test_the_same_request_again_gets_the_stored_answer_and_starts_nothing(owner: Program, house: Install) -> None:
    key = fresh()
    first = owner.call("counter.sleepy", key, wait=20, seconds=0, name=key)
    again = owner.call("counter.sleepy", key, seconds=0, name=key)

    assert (first.status, again.status) == (200, 200)
    assert again.content == first.content
    assert len(house.notes(key)) == 1


def test_the_same_request_while_the_first_is_in_progress_is_409_with_its_call(owner: Program) -> None:
    key = fresh()
    first = owner.call("counter.sleepy", key, seconds=30)
    again = owner.call("counter.sleepy", key, seconds=30)

    assert "has not ended" in problem(again, 409)
    assert int(again.headers["retry-after"]) >= 1
    assert (again.content["call"], again.content["status_url"]) == (first.content["call"], first.content["status_url"])


def test_other_arguments_under_the_same_key_are_422(owner: Program) -> None:
    key = fresh()
    owner.call("counter.add", key, a=1, b=2)

    assert "used before" in problem(owner.call("counter.add", key, a=1, b=3), 422)


def test_the_same_key_of_another_task_is_another_call(owner: Program) -> None:
    key = fresh()

    assert owner.call("counter.add", key, a=1, b=2).status == 202
    assert owner.call("counter.paced", key, n=1).status == 202


def test_a_quoted_key_and_a_bare_one_are_the_same(owner: Program) -> None:
    key = fresh()
    first = owner.call("counter.add", f'"{key}"', wait=20, a=1, b=2)
    again = owner.call("counter.add", key, a=1, b=2)

    assert again.content == first.content


def test_two_programs_may_use_the_same_key(owner: Program, house: Install) -> None:
    key = fresh()
    mine = owner.call("counter.add", key, wait=20, a=1, b=2)
    theirs = Program(house, CALLER).call("counter.add", key, wait=20, a=2, b=2)

    assert (mine.content["result"], theirs.content["result"]) == (3, 4)


def test_a_task_without_a_key_of_its_own_needs_one(owner: Program) -> None:
    assert "Idempotency-Key" in problem(owner.call("counter.add", a=1, b=2), 400)


def test_a_task_with_a_key_of_its_own_has_one_effect_without_a_header(owner: Program, effects: EffectServer) -> None:
    first = owner.call("storyteller.publish", wait=20, post_id="bare")
    again = owner.call("storyteller.publish", wait=20, post_id="bare")

    assert (first.content["replayed"], again.content["replayed"]) == (False, True)
    assert again.content["result"] == first.content["result"]
    assert effects.count("story:bare") == 1


def test_a_refusal_is_an_answer_that_says_when(owner: Program) -> None:
    answers = [owner.call("counter.limited", fresh(), wait=20, n=n) for n in range(4)]

    assert [answer.status for answer in answers] == [200] * 4
    last = answers[-1].content
    assert (last["ok"], last["state"], last["stage"]) == (False, "rejected", "rate")
    assert last["retry_after"] > 0


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"a": "x", "b": 1}, "a"),
        ({"a": "1", "b": 1}, "a"),
        ({"a": 1}, "b"),
        ({"a": 1, "b": 2, "c": 3}, "c"),
        ({"a": None, "b": 2}, "a"),
    ],
)
def test_wrong_arguments_are_422_and_named(owner: Program, arguments: dict[str, Any], field: str) -> None:
    answer = owner.call("counter.add", fresh(), **arguments)

    assert field in problem(answer, 422)
    assert [error["field"] for error in answer.content["errors"]] == [field]


def test_an_unknown_task_is_404(owner: Program) -> None:
    assert "no task" in problem(owner.call("counter.nothing", fresh()), 404)


@pytest.mark.parametrize("key", ["", '"', "a b", "x" * 201, 'say "hi"', "é"])
def test_a_key_that_is_not_one_is_400(owner: Program, key: str) -> None:
    answer = owner.send("POST", "/tasks/counter.add", {"a": 1, "b": 2}, {"Idempotency-Key": key})

    assert "Idempotency-Key" in problem(answer, 400)


def test_an_unknown_query_parameter_is_400(owner: Program) -> None:
    answer = owner.send("POST", "/tasks/counter.add?wait=3", {"a": 1, "b": 2}, {"Idempotency-Key": fresh()})

    assert "query parameter" in problem(answer, 400)


def test_a_body_that_is_not_json_is_415_and_one_that_is_no_object_400(owner: Program) -> None:
    key = {"Idempotency-Key": fresh()}

    assert "application/json" in problem(
        owner.send("POST", "/tasks/counter.add", {}, {**key, "Content-Type": "text/plain"}), 415
    )
    assert "not an object" in problem(owner.send("POST", "/tasks/counter.add", [1], key), 400)
    assert "bytes" in problem(owner.send("POST", "/tasks/counter.add", {"a": "x" * 300_000}, key), 413)


def test_a_task_without_arguments_needs_no_body(owner: Program) -> None:
    answer = owner.send("POST", "/tasks/tasks.monitor.check", None, {"Idempotency-Key": fresh(), "Prefer": "wait=20"})

    assert answer.status == 200, answer


def test_an_id_of_the_api_cannot_be_taken_by_another_door(shell: Shell) -> None:
    refusal = shell.run("""
        try:
            app.send_task("counter.add", kwargs={"a": 1, "b": 2}, task_id="api:owner:stolen")
        except Exception as error:
            answer = str(error)
    """)

    assert "API request" in refusal


# Tokens


@pytest.mark.parametrize("path", ["/api/agents", "/api/held", "/api/keys/a:b", "/api/calls/c", "/api/openapi.json"])
def test_without_a_token_nothing_is_shown(house: Install, path: str) -> None:
    answer = Program(house, "").get(path)

    problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_right_that_a_token_lacks_is_named(house: Install) -> None:
    reader, caller = Program(house, READER), Program(house, CALLER)

    assert reader.get("/api/agents").status == 200
    assert "may not call 'counter.add'" in problem(reader.call("counter.add", fresh(), a=1, b=2), 403)
    assert caller.call("counter.add", fresh(), a=1, b=2).status == 202
    assert "may not call 'counter.paced'" in problem(caller.call("counter.paced", fresh(), n=1), 403)
    assert "'read'" in problem(caller.get("/api/held"), 403)


# Reading


def test_the_agents_are_those_of_the_command(owner: Program, shell: Shell) -> None:
    told = {each["agent"]: each for each in json.loads(owner.get("/api/agents").body)}
    shown = {each["agent"]: each for each in shell.gate("status")}

    assert set(told) == set(shown)
    assert set(told["counter"]) == set(shown["counter"])


def test_a_key_with_slashes_and_colons_is_told_as_the_command_tells_it(owner: Program, shell: Shell) -> None:
    owner.call("storyteller.publish", wait=20, post_id="a/b c")

    answer = owner.get(f"/api/keys/{quote('story:a/b c')}")

    assert answer.status == 200, answer
    assert answer.content == shell.gate("explain", "story:a/b c")
    assert answer.content["story"][0]["door"] == "api (owner)"
    assert owner.get(f"/api/keys/{quote('story:a/b c', safe='')}?agent=storyteller").content == answer.content
    problem(owner.get(f"/api/keys/{quote('story:a/b c')}?agent=counter"), 404)
    problem(owner.get(f"/api/keys/{quote('story:a/b c')}?agent=nobody"), 404)


def test_a_call_is_told_as_the_command_tells_it(owner: Program, shell: Shell) -> None:
    call = owner.call("counter.add", fresh(), wait=20, a=1, b=2).content["call"]

    assert owner.get(f"/api/calls/{quote(call, safe='')}").content == shell.gate("explain", call)
    problem(owner.get("/api/calls/nothing"), 404)
