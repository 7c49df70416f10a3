"""The event stream tells of every refusal and of every attempt that settled, and of nothing else."""

from __future__ import annotations

import json

import pytest

from gatekeeper.policies.policy import Rate
from state.agents import calls, events, pause
from state.agents.calls import Wanted
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, Poster


def told(poster: Poster) -> list[tuple[str, str, str]]:
    return [(past.outcome, past.stage, past.key) for past in events.recent(AGENT, 0)]


def forget(poster: Poster) -> None:
    """What went before is not what the test is about."""
    poster.redis.delete(poster.n.events)


def test_a_refusal_is_told_with_its_stage_its_key_and_its_time(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=Rate("1/hour", over="drop"), cap="5/day")
    poster.claim("one")

    poster.refused("two")

    (past,) = events.recent(AGENT, 0)
    assert (past.outcome, past.stage, past.key) == ("refused", "rate", "post:feed:two")
    assert (past.agent, past.task, past.ms, past.attempt) == (AGENT, poster.gate.name, 0, 0)
    assert 0 <= poster.now() - past.at_ms < 5000


def test_a_large_list_of_calls_finds_refused_and_ended_calls_by_the_stream(
    poster_with: WithPolicies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MAX_KEYS", 0)
    poster = poster_with(rate=Rate("1/hour", over="drop"))
    poster.publish("one")
    poster.refused("two")

    found = calls.newest([AGENT], Wanted())

    assert [(each.key, each.state, each.stage) for each in found.calls] == [
        ("post:feed:two", "rejected", "rate"), ("post:feed:one", "done", ""),
    ]  # fmt: skip
    assert "newest ended calls" in found.cut


@pytest.mark.parametrize("policies", [{}, {"cap": ["7/hour", "8/day"], "rate": ["9/hour", "99/day"]}])
def test_a_paused_agent_tells_of_each_call_it_refuses(poster_with: WithPolicies, policies: dict[str, object]) -> None:
    poster = poster_with(**policies)
    pause.pause(AGENT, "ada", "looking")

    poster.refused("one")
    poster.refused("two")

    assert told(poster) == [("refused", "paused", "post:feed:one"), ("refused", "paused", "post:feed:two")]


def test_a_replay_a_deferral_and_a_repeated_answer_are_not_told(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=["2/hour"])
    poster.publish("hello")
    poster.publish("world")
    forget(poster)

    poster.replayed("hello")
    poster.deferred("later")

    assert told(poster) == []


def test_a_second_message_of_a_refused_call_is_told_once(poster: Poster) -> None:
    pause.pause(AGENT, "ada", "looking")
    call = poster.register()

    for _ in range(2):
        poster.admit(call)

    assert told(poster) == [("refused", "paused", call.key)]


def test_attempts_and_refusals_are_read_in_the_order_in_which_they_happened(poster: Poster) -> None:
    attempt = {"outcome": "done", "task": "tasks.poster.post", "key": "k", "ms": 12, "attempt": 1}
    poster.redis.xadd(poster.n.events, {"attempt": json.dumps(attempt)})
    pause.pause(AGENT, "ada", "looking")
    poster.refused("two")

    done, refused = events.recent(AGENT, 0)

    assert (done.outcome, done.ms, done.attempt, done.stage) == ("done", 12, 1, "")
    assert refused.outcome == "refused"
    assert events.recent(AGENT, refused.at_ms + 1) == []
