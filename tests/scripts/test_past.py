"""What a key notes of a history in which everything went well at once, and the list that it becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

import gatekeeper
from gatekeeper.policies.policy import Effect, Policies
from gatekeeper.policies.spec import TaskSpec
from gatekeeper.run import pipeline
from gatekeeper.run.attempt import Attempt
from state.agents import calls, history
from state.agents.calls import Wanted
from state.model import Claim
from state.redis import client
from tests.harness import Valkey
from tests.scripts.poster import AGENT, Poster, a_gate

PAYLOAD = {"text": "grüß"}
NOTED = {"came", "line", "took"}


def send(post_id: str, text: str = "", destination: str = "feed") -> str:
    with gatekeeper.effect(payload=PAYLOAD) as frozen:
        return f"{post_id} {frozen['text']}"


send.__module__, send.__name__ = f"tasks.{AGENT}", "send"


@pytest.fixture(autouse=True)
def _this_server(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "client", lambda *_: valkey.client())


@pytest.fixture
def repeat_safe(valkey: Valkey) -> Poster:
    return Poster(valkey.client(), a_gate(key=None, effect=False))


@pytest.fixture
def sender(valkey: Valkey) -> Poster:
    gate = TaskSpec(
        send, Policies("post:{destination}:{post_id}", (), (), None, Effect(), "2m", None, None, "10s", "7d")
    )
    return Poster(valkey.client(), gate).open()


def run(poster: Poster, claim: Claim | None = None) -> Claim:
    """One attempt, as a worker runs it."""
    claim = claim or poster.claim(poster.register())
    call = poster._calls[claim.call]
    arguments = poster.gate.contract.bind((), json.loads(call.kwargs))
    pipeline.run_attempt(Attempt(poster.gate, arguments, call, claim, poster.ledger, poster.scope_of(call)))
    return claim


def told(claim: Claim) -> list[dict[str, Any]]:
    found = history.of_key(AGENT, claim.key)
    assert found is not None
    return list(found["story"])


def names(claim: Claim) -> list[str]:
    return [event["event"] for event in told(claim)]


def listed(poster: Poster, claim: Claim) -> list[str]:
    return [json.loads(text)["event"] for text in poster.redis.lrange(poster.n.history(claim.key), 0, -1)]


def test_a_call_that_went_well_at_once_has_no_list_and_its_history_is_told(repeat_safe: Poster) -> None:
    claim = run(repeat_safe)

    assert listed(repeat_safe, claim) == []
    registered, claimed, done = told(claim)
    assert (registered["event"], registered["door"], registered["call"]) == ("registered", "test", claim.call)
    assert (claimed["event"], claimed["attempt"], claimed["fence"]) == ("claimed", 1, claim.fence)
    assert claimed["owner"] == claim.owner
    assert (done["event"], done["attempt"]) == ("done", 1)
    assert registered["at"] <= claimed["at"] <= done["at"]


def test_an_effect_that_went_well_at_once_has_no_list_either(sender: Poster) -> None:
    claim = run(sender)

    assert listed(sender, claim) == []
    assert names(claim) == ["registered", "claimed", "sending", "applied", "done"]
    assert told(claim)[2]["payload_size"] == len(json.dumps(PAYLOAD, ensure_ascii=False, separators=(",", ":")))


@pytest.mark.parametrize("kind", ["repeat_safe", "sender"])
def test_the_next_event_makes_the_same_history_a_list_that_lives_as_long_as_its_key(
    request: pytest.FixtureRequest, kind: str
) -> None:
    poster: Poster = request.getfixturevalue(kind)
    claim = run(poster)
    before, key = told(claim), poster.n.key(claim.key)

    poster.replayed(poster._calls[claim.call])

    assert told(claim)[:-1] == before
    assert listed(poster, claim) == [event["event"] for event in before] + ["replayed"]
    assert not NOTED & set(poster.key_of(claim))
    lives = [poster.redis.pttl(name) for name in (key, poster.n.history(claim.key))]
    assert max(lives) - min(lives) < 1000
    assert (lives[0] > 0) == (kind == "repeat_safe"), "what is told of an effect stays"


@pytest.mark.parametrize("unfolded", [False, True])
def test_settling_such_an_attempt_again_changes_nothing(repeat_safe: Poster, unfolded: bool) -> None:
    claim = run(repeat_safe)
    if unfolded:
        repeat_safe.replayed(repeat_safe._calls[claim.call])
    before = repeat_safe.dump()

    assert repeat_safe.settle(claim) is None

    assert repeat_safe.dump() == before


def test_a_key_that_has_its_call_in_its_name_is_found_with_both(repeat_safe: Poster) -> None:
    claim = run(repeat_safe)

    assert not {"task", "call", "fingerprint"} & set(repeat_safe.key_of(claim))
    found = history.of_key(AGENT, claim.key)
    assert found is not None
    assert (found["task"], found["call"], found["attempts"]) == (repeat_safe.gate.name, claim.call, 1)
    repeat_safe.redis.delete(repeat_safe.n.call(claim.call))
    [key] = calls.newest([AGENT], Wanted()).calls
    assert (key.task, key.call, key.key, key.state) == (repeat_safe.gate.name, claim.call, claim.key, "done")


def test_a_key_with_a_name_of_its_own_still_refuses_other_arguments_when_it_is_done(sender: Poster) -> None:
    run(sender)

    assert sender.refused(sender.register(sender.call(text="another")))["stage"] == "key"


def test_a_death_inside_the_effect_is_told_after_what_came_before(sender: Poster) -> None:
    claim = sender.claim(sender.register())
    claimed = {"at": claim.admitted_ms, "event": "claimed", "attempt": 1, "fence": claim.fence, "owner": claim.owner}
    sending = {"at": claim.admitted_ms + 3, "event": "sending", "payload_size": 7}
    sender.cross(claim, events=[json.dumps(claimed), json.dumps(sending)])
    assert names(claim) == ["registered", "claimed", "sending"]
    assert listed(sender, claim) == []

    sender.reclaim(claim, dead=True)

    assert listed(sender, claim) == ["registered", "claimed", "sending", "unknown"]
    assert told(claim)[2]["at"] > told(claim)[1]["at"]


def test_what_an_attempt_tells_besides_is_kept_in_full(repeat_safe: Poster) -> None:
    claim = repeat_safe.claim(repeat_safe.register())
    call = repeat_safe._calls[claim.call]
    attempt = Attempt(
        repeat_safe.gate, {"post_id": "hello"}, call, claim, repeat_safe.ledger, repeat_safe.scope_of(call)
    )
    attempt.append_event("http", url="https://example.org", status=200)

    pipeline.run_attempt(attempt)

    assert listed(repeat_safe, claim) == ["registered", "http", "claimed", "done"]
    assert repeat_safe.redis.pttl(repeat_safe.n.history(claim.key)) > 0


def test_a_failed_attempt_before_the_success_is_told(repeat_safe: Poster) -> None:
    call = repeat_safe.register()
    repeat_safe.settle(repeat_safe.claim(call), "failed", retry_ms=1)
    claim = run(repeat_safe, repeat_safe.claim(call))

    assert names(claim) == ["registered", "failed", "claimed", "done"]
    assert repeat_safe.key_of(claim)["call"] == call.id


def test_what_a_worker_of_an_older_version_tells_comes_after_the_registration(repeat_safe: Poster) -> None:
    """It appends to the list, and does not know that the key notes when the call came in."""
    claim = repeat_safe.claim(repeat_safe.register())
    older = [json.dumps({"at": claim.admitted_ms + n, "event": name}) for n, name in enumerate(("claimed", "done"))]
    repeat_safe.redis.rpush(repeat_safe.n.history(claim.key), *older)
    repeat_safe.redis.hset(repeat_safe.n.key(claim.key), mapping={"state": "done", "result": '{"result":null}'})

    assert names(claim) == ["registered", "claimed", "done"]


def test_a_second_call_of_the_key_is_told_after_the_first(sender: Poster) -> None:
    first = sender.register()
    second = sender.register(sender.call())
    claim = run(sender, sender.claim(first))

    events = told(claim)
    assert [event["event"] for event in events[:2]] == ["registered", "registered"]
    assert [event["call"] for event in events[:2]] == [first.id, second.id]
    assert names(claim)[-1] == "done"
