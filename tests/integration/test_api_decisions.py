"""Decisions of programs over the HTTP API: what they change, who is named, and what a late or a wrong one is answered."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
import redis

from state.processes import host_signs
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.shell import Shell
from tests.programs import READER, TOKENS, Program, fresh, problem

pytestmark = pytest.mark.usefixtures("web")


@pytest.fixture(scope="module")
def web_env() -> dict[str, str]:
    return {"API_TOKENS": TOKENS, "TASK_MODULES": "storyteller,counter,asker"}


def in_doubt(owner: Program, effects: EffectServer, post: str) -> dict[str, Any]:
    """Let the answer to an effect get lost; return what the API lists of its key."""
    effects.mode("apply_then_drop", f"story:{post}", 1)
    owner.call("storyteller.publish", post_id=post)

    def listed() -> dict[str, Any] | None:
        held: list[dict[str, Any]] = json.loads(owner.get("/api/held?agent=storyteller").body)
        return next((each for each in held if each["key"] == f"story:{post}"), None)

    return until(listed, 20, f"story:{post} to be in doubt")


def decide(owner: Program, post: str, verb: str, **body: Any) -> Any:
    return owner.send("POST", f"/api/keys/{quote(f'story:{post}')}/{verb}", body)


def test_a_program_says_what_became_of_a_key_and_is_named_in_its_story(
    owner: Program, effects: EffectServer, shell: Shell
) -> None:
    seen = in_doubt(owner, effects, "there")

    answer = decide(owner, "there", "resolve", how="applied", why="I saw it", seen=seen["version"], result={"id": 7})

    assert answer.status == 200, answer
    assert answer.content == {
        "key": "story:there", "agent": "storyteller", "state": "done", "by": "owner", "why": "I saw it",
    }  # fmt: skip
    record = shell.gate("explain", "story:there")
    assert (record["state"], record["result"]) == ("done", {"id": 7})
    assert (record["story"][-1]["by"], record["story"][-1]["door"]) == ("owner", "api")
    (entry,) = json.loads(owner.get("/api/audit?subject=story%3Athere").body)
    assert [entry[name] for name in ("by", "door", "what", "why")] == ["owner", "api", "applied", "I saw it"]
    assert effects.count("story:there") == 1


def test_what_is_not_there_is_sent_once_more(owner: Program, effects: EffectServer) -> None:
    effects.mode("refuse:500", "story:absent", 1)
    owner.call("storyteller.publish", post_id="absent")
    until(lambda: "story:absent" in owner.get("/api/held").body.decode(), 20, "the key to be in doubt")

    answer = decide(owner, "absent", "resolve", how="not-applied", why="it is not there")

    assert answer.status == 200, answer
    until(lambda: owner.get("/api/keys/story:absent").content["state"] == "done", 20, "the key to be done")
    assert effects.count("story:absent") == 1


def test_a_decision_on_what_has_changed_since_is_409_and_changes_nothing(owner: Program, effects: EffectServer) -> None:
    seen = in_doubt(owner, effects, "stale")
    decide(owner, "stale", "resolve", how="cancel", why="too old", seen=seen["version"])

    late = decide(owner, "stale", "resolve", how="applied", why="I saw it", seen=seen["version"])

    assert "owner" in problem(late, 409)
    assert owner.get("/api/keys/story:stale").content["state"] == "cancelled"


def test_of_many_programs_that_decide_at_once_one_wins(owner: Program, effects: EffectServer) -> None:
    seen = in_doubt(owner, effects, "race")
    ways = ["applied", "cancel"] * 8
    with ThreadPoolExecutor(len(ways)) as pool:
        found = list(
            pool.map(
                lambda how: decide(owner, "race", "resolve", how=how, why="I say so", seen=seen["version"]).status, ways
            )
        )

    assert sorted(found) == [200] + [409] * (len(ways) - 1)
    assert len(json.loads(owner.get("/api/audit?subject=story%3Arace").body)) == 1


def test_what_waits_comes_in_pages(owner: Program, effects: EffectServer, shell: Shell) -> None:
    for number in range(3):
        in_doubt(owner, effects, f"page{number}")
    every = shell.gate("held")

    pages = [json.loads(owner.get(f"/api/held?limit=1&start={start}").body) for start in range(len(every) + 1)]

    assert [entry for page in pages for entry in page] == every
    assert json.loads(owner.get("/api/held").body) == every
    assert "1000" in problem(owner.get("/api/held?limit=1001"), 400)


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_key_that_is_done_cannot_be_approved_or_rejected(owner: Program, effects: EffectServer, verb: str) -> None:
    owner.call("storyteller.publish", wait=20, post_id=f"done-{verb}")

    assert "done" in problem(decide(owner, f"done-{verb}", verb, why="no"), 409)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"how": "maybe", "why": "x"}, "how"),
        ({"how": "applied"}, "why"),
        ({"how": "applied", "why": ""}, "why"),
        ({"how": "applied", "why": " \t"}, "why"),
        ({"how": "applied", "why": "x", "seen": "latest"}, "seen"),
        ({"how": "applied", "why": "x", "force": "yes"}, "force"),
        ({"how": "applied", "why": "x", "force": True}, "force"),
        ({"how": "cancel", "why": "x", "result": 1}, "result"),
        ({"how": "cancel", "why": "x", "by": "somebody"}, "by"),
    ],
)
def test_a_wrong_decision_is_422_and_names_the_field(
    owner: Program, effects: EffectServer, body: dict[str, Any], field: str
) -> None:
    owner.call("storyteller.publish", wait=20, post_id="wrong")

    answer = decide(owner, "wrong", "resolve", **body)

    problem(answer, 422)
    assert [error["field"] for error in answer.content["errors"]] == [field]


def test_an_unknown_key_is_404(owner: Program) -> None:
    assert "no key" in problem(decide(owner, "nobody", "resolve", how="cancel", why="x"), 404)


def test_a_program_that_may_only_read_decides_nothing(house: Install) -> None:
    reader = Program(house, READER)

    assert "'decide'" in problem(decide(reader, "any", "resolve", how="cancel", why="x"), 403)
    assert "'decide'" in problem(reader.send("POST", "/api/agents/counter/pause", {"why": "x"}), 403)


def test_an_agent_is_paused_and_resumed(owner: Program, shell: Shell) -> None:
    paused = owner.send("POST", "/api/agents/counter/pause", {"why": "looking at it"})
    refused = owner.call("counter.add", fresh(), wait=20, a=1, b=2)
    resumed = owner.send("POST", "/api/agents/counter/resume")

    assert paused.content["pause"] | {"at": ""} == {"at": "", "by": "owner", "why": "looking at it"}
    assert (refused.content["ok"], refused.content["stage"]) == (False, "paused")
    assert resumed.content["paused"] is False
    assert set(resumed.content) <= set(shell.gate("status", "counter")[0])
    assert owner.call("counter.add", fresh(), wait=20, a=1, b=2).content["result"] == 3


def test_an_unknown_agent_is_404(owner: Program) -> None:
    for verb in ("pause", "resume", "run"):
        assert "there is no agent" in problem(owner.send("POST", f"/api/agents/nobody/{verb}", {"why": "x"}), 404)


def test_an_agent_runs_now(owner: Program) -> None:
    answer = owner.send("POST", "/api/agents/analyst/run", {"why": "I want to see it"})

    assert answer.status == 200, answer
    assert answer.content["entry"] == "analyse"
    assert answer.content["call"].startswith("tick:analyse:")
    entries = json.loads(owner.get("/api/audit?what=run&agent=analyst").body)
    assert [entry["why"] for entry in entries] == ["I want to see it"]


def test_an_agent_without_that_entry_is_422(owner: Program) -> None:
    answer = owner.send("POST", "/api/agents/analyst/run", {"entry": "publish"})

    assert "analyse" in problem(answer, 422)
    assert "none" in problem(owner.send("POST", "/api/agents/counter/run"), 422)


def test_the_audit_comes_in_pages_and_the_schedule_as_the_command_tells_it(owner: Program, shell: Shell) -> None:
    for number in range(3):
        owner.send("POST", "/api/agents/writer/pause", {"why": f"number {number}"})
        owner.send("POST", "/api/agents/writer/resume", {"why": f"number {number}"})

    first = json.loads(owner.get("/api/audit?agent=writer&limit=4").body)
    rest = json.loads(owner.get(f"/api/audit?agent=writer&limit=4&before={first[-1]['cursor']}").body)

    assert [entry["why"] for entry in [*first, *rest]] == [f"number {n}" for n in (2, 2, 1, 1, 0, 0)]
    assert "cursor" in problem(owner.get("/api/audit?before=first"), 400)
    assert "500" in problem(owner.get("/api/audit?limit=501"), 400)
    assert {each["entry"] for each in json.loads(owner.get("/api/schedule").body)} == {
        each["entry"] for each in shell.gate("schedule")
    }
    assert set(owner.get("/api/incidents").content) == {"open", "past"}


# Approvals


@pytest.fixture
def asks(owner: Program) -> None:
    """Let the agent ask before each effect."""
    answer = owner.send("POST", "/api/agents/asker/autonomy", {"mode": "ask", "why": "to read each letter"})
    assert answer.content["autonomy"] == "ask", answer


def asked(owner: Program, name: str) -> dict[str, Any]:
    """Let a letter wait for its approval; return what the API lists of it."""
    answer = owner.call("asker.write", wait=20, name=name)
    assert (answer.status, answer.content["state"]) == (202, "held")
    held: list[dict[str, Any]] = json.loads(owner.get("/api/held?agent=asker").body)
    return next(each for each in held if each["key"] == f"letter:{name}")


def on_letter(owner: Program, name: str, verb: str, **body: Any) -> Any:
    return owner.send("POST", f"/api/keys/letter:{name}/{verb}", body)


def sent(effects: EffectServer, name: str) -> list[Any]:
    until(lambda: effects.count(f"letter:{name}"), 20, f"the letter to {name}")
    return [json.loads(row["body"]) for row in effects.rows() if row["key"] == f"letter:{name}"]


@pytest.mark.usefixtures("asks")
def test_what_waits_is_approved_as_it_was_seen(owner: Program, effects: EffectServer) -> None:
    seen = asked(owner, "ann")

    assert on_letter(owner, "ann", "approve", why="read it", seen=seen["version"]).status == 200

    assert sent(effects, "ann") == [seen["payload"]]


@pytest.mark.usefixtures("asks")
@pytest.mark.parametrize("verb", ["approve", "revise"])
def test_another_payload_is_sent_instead(owner: Program, effects: EffectServer, verb: str) -> None:
    seen = asked(owner, verb)
    mine = seen["payload"] | {"text": "My own words"}

    answer = on_letter(owner, verb, verb, why="shorter", seen=seen["version"], payload=mine)
    late = on_letter(owner, verb, "approve", why="read it", seen=seen["version"])

    assert answer.status == 200, answer
    problem(late, 409)
    assert sent(effects, verb) == [mine]


@pytest.mark.usefixtures("asks")
def test_a_payload_that_does_not_fit_is_422_and_nothing_is_sent(owner: Program, effects: EffectServer) -> None:
    seen = asked(owner, "odd")

    assert "text" in problem(on_letter(owner, "odd", "revise", why="x", payload=seen["payload"] | {"text": ""}), 422)
    assert "name" in problem(on_letter(owner, "odd", "revise", why="x", payload=seen["payload"] | {"name": "eve"}), 422)
    assert on_letter(owner, "odd", "reject", why="no").content["state"] == "cancelled"
    assert effects.count() == 0


@pytest.mark.usefixtures("asks")
def test_a_request_is_in_progress_until_a_person_decides_and_then_has_its_answer(owner: Program) -> None:
    key = fresh()
    first = owner.call("asker.write", key, wait=20, name="eve")
    again = owner.call("asker.write", key, name="eve")
    on_letter(owner, "eve", "reject", why="no")
    last = owner.call("asker.write", key, name="eve")

    assert (first.status, again.status, last.status) == (202, 409, 200)
    assert first.content["call"] == again.content["call"] == last.content["call"]
    assert (last.content["ok"], last.content["state"]) == (False, "cancelled")


def test_a_program_says_that_a_host_is_gone_and_is_named_in_the_audit(
    owner: Program, effects: EffectServer, store: redis.Redis
) -> None:
    sign = {"name": "far.abcdef", "boot": "b", "seen_ms": 1, "kinds": {}}
    store.hset(host_signs.key(), "abcdef", json.dumps(sign))
    of_all = {each["host"]: each["state"] for each in json.loads(owner.get("/api/hosts").body)}
    assert of_all["far.abcdef"] == "silent"

    assert "nowhere" in problem(owner.send("POST", "/api/hosts/nowhere/gone", {"why": "it burned down"}), 404)
    problem(owner.send("POST", "/api/hosts/far.abcdef/gone", {}), 422)
    answer = owner.send("POST", "/api/hosts/far.abcdef/gone", {"why": "it burned down"})

    assert answer.status == 200, answer
    assert answer.content == {"host": "far.abcdef", "by": "owner", "why": "it burned down", "keys": []}
    (entry, *_) = json.loads(owner.get("/api/audit?what=host-gone").body)
    assert [entry[name] for name in ("by", "door", "subject", "after")] == ["owner", "api", "far.abcdef", "gone"]
    [alive] = [host for host, state in of_all.items() if state == "alive"]
    assert "gave a sign of life" in problem(owner.send("POST", f"/api/hosts/{alive}/gone", {"why": "no"}), 409)
    problem(Program(owner.house, READER).send("POST", "/api/hosts/far.abcdef/gone", {"why": "no"}), 403)
