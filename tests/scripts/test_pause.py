"""A pause has reasons: a person's stops the whole agent, a cap's only the task that reached it."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from gatekeeper.policies.policy import Cap, Effect, Policies, several
from gatekeeper.policies.spec import TaskSpec
from state.agents import pause, snapshot, state_file
from state.decision import Refusal
from state.ledger import Progress
from state.model import Claim
from state.redis import client
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, Poster

CAPPED, OTHER = "tasks.poster.post", "tasks.poster.remove"


def remove(post_id: str) -> str:
    """Another task of the same agent."""
    return post_id


remove.__module__, remove.__name__ = "tasks.poster", "remove"


def another_task(redis: Redis, cap: str | None = None) -> Poster:
    policies = Policies("remove:{post_id}", (), several(Cap, cap), None, Effect(), "2m", None, None, "10s", "7d")
    return Poster(redis, TaskSpec(remove, policies))


@pytest.fixture
def capped(poster_with: WithPolicies, monkeypatch: pytest.MonkeyPatch) -> Poster:
    """A poster that has reached its cap."""
    poster = poster_with(cap="1/day")
    monkeypatch.setattr(client, "client", lambda: poster.redis)
    poster.publish("one")
    assert poster.document()["pause"]["by"] == "cap"
    return poster


def test_a_cap_stops_its_own_task_and_no_other_of_the_agent(capped: Poster) -> None:
    other = another_task(capped.redis)

    assert capped.refused("two")["stage"] == "paused"
    claim = other.claim("two")
    assert other.cross(claim)[0] == "sending"
    assert other.settle(claim) is None
    assert capped.document()["pause"]["task"] == CAPPED


@pytest.mark.parametrize(("is_own", "answer"), [(False, "sending"), (True, "paused")])
def test_a_cap_that_is_reached_after_the_claim_stops_the_effects_that_it_counts(
    poster_with: WithPolicies, is_own: bool, answer: str
) -> None:
    poster = poster_with(cap="2/day")
    claim = poster.claim()
    cap = poster.scope_of(poster.call()).caps[0] if is_own else "the cap of another task"
    reason = {"at": 1, "by": "cap", "why": "cap 1/day reached", "cap": cap, "task": CAPPED if is_own else OTHER}
    poster.redis.hset(poster.n.agent_meta, "pause", json.dumps(reason))

    assert poster.cross(claim)[0] == answer


def test_a_cap_of_one_destination_stops_no_other(poster_with: WithPolicies) -> None:
    poster = poster_with(cap=[Cap("1/day", scope="{destination}"), "3/day"])
    poster.settle(poster.claim(poster.call("one", destination="feed")))

    assert poster.refused(poster.call("two", destination="feed"))["stage"] == "paused"
    for post in ("two", "three"):
        claim = poster.claim(poster.call(post, destination=post))
        assert poster.cross(claim)[0] == "sending"
        poster.settle(claim)

    assert poster.refused(poster.call("four", destination="four"))["stage"] == "paused", "the other cap, of all"
    assert len(poster.document()["pause"]["also"]) >= 1


def test_each_task_that_reaches_its_cap_is_a_reason_and_resume_resets_all_of_them(capped: Poster) -> None:
    other = another_task(capped.redis, cap="1/day")
    other.publish("one")

    head = capped.document()["pause"]
    assert head["task"] == CAPPED
    assert [reason["task"] for reason in head["also"]] == [OTHER]
    assert other.refused("two")["stage"] == "paused"

    assert pause.resume(AGENT)

    assert not capped.document()["paused"]
    assert isinstance(capped.admit("two"), Claim)
    assert isinstance(other.admit("two"), Claim)


def test_a_person_stops_the_whole_agent_beside_a_cap_and_the_first_reason_stays(capped: Poster) -> None:
    other = another_task(capped.redis)

    assert pause.pause(AGENT, "ada", "looking")

    head = capped.document()["pause"]
    assert (head["by"], [reason["by"] for reason in head["also"]]) == ("cap", ["ada"])
    refused = other.refused("two")
    assert (refused["stage"], refused["by"], refused["why"]) == ("paused", "ada", "looking")
    assert capped.refused("two")["by"] == "cap"


def test_a_second_pause_keeps_the_first_reason_and_changes_nothing(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "client", lambda: poster.redis)
    assert pause.pause(AGENT, "ada", "looking")
    before = poster.document()

    assert not pause.pause(AGENT, "bob", "me too")

    assert poster.document() == before
    assert poster.refused("two")["why"] == "looking"


def test_a_cap_adds_nothing_to_the_pause_of_a_person(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="1/day")
    claim = poster.claim()
    poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')

    poster.settle(claim)

    assert "also" not in poster.document()["pause"]


def test_every_reason_survives_the_loss_of_redis(capped: Poster) -> None:
    pause.pause(AGENT, "ada", "looking")
    state_file.write(AGENT)
    before = snapshot.snapshot(AGENT).head["pause"]
    capped.redis.flushall()

    capped.ledger.recover(lambda _task, _kwargs: [], Progress())

    assert snapshot.snapshot(AGENT).head["pause"] == before
    assert isinstance(another_task(capped.redis).admit("two"), Refusal)


def test_a_pause_by_a_cap_of_which_only_an_old_state_file_is_left_stops_the_agent(capped: Poster) -> None:
    old = {"at": "2026-11-30T00:00:00.000Z", "by": "cap", "why": "cap 1/day reached"}
    capped.redis.hset(capped.n.agent_meta, "pause", pause.stored(old))

    assert another_task(capped.redis).refused("two")["stage"] == "paused"


def test_the_reason_that_stops_a_task_is_its_own() -> None:
    first = {"by": "cap", "task": CAPPED, "also": [{"by": "ada"}]}

    assert pause.of_task(None, CAPPED) is None
    assert pause.of_task({"by": "cap", "task": CAPPED}, OTHER) is None
    assert (pause.of_task(first, CAPPED) or {})["by"] == "cap"
    assert (pause.of_task(first, OTHER) or {})["by"] == "ada"
