"""Many at once: what one script promises, it promises to all threads and processes together."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import settings
from gatekeeper.policies.policy import Breaker, Rate
from state.decision import Decision, KeyInUse
from state.model import Claim
from tests.harness import Valkey, patient
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import MINUTE, Poster

Together = Callable[[int, Callable[[int], Any]], list[Any]]

THREADS = 24

#: Asks for a probe from a process of its own; every process waits for the starting signal.
ASK = """
import sys
from redis import Redis
from gatekeeper.policies.policy import Breaker
from state.model import Claim
from tests.scripts.poster import Poster, a_gate

redis = Redis.from_url(sys.argv[1], decode_responses=True)
poster = Poster(redis, a_gate(breaker=Breaker(after=1, cooldown="5m")))
calls = [poster.call(f"post-{sys.argv[2]}-{n}", id=f"call-{sys.argv[2]}-{n}") for n in range(50)]
redis.rpush("ready", "here")
redis.blpop("go", 20)
print(sum(isinstance(poster.admit(call), Claim) for call in calls))
"""


def claims(decisions: list[Decision]) -> int:
    return sum(isinstance(decision, Claim) for decision in decisions)


def test_one_key_is_claimed_by_one_of_many(poster: Poster, together: Together) -> None:
    decisions = together(THREADS, lambda _: poster.admit("hello"))

    assert claims(decisions) == 1
    assert sum(isinstance(decision, KeyInUse) for decision in decisions) == THREADS - 1


def test_ten_an_hour_lets_ten_of_many_through(poster_with: WithPolicies, together: Together) -> None:
    poster = poster_with(rate=Rate("10/hour", over="drop"))

    decisions = together(THREADS, lambda number: poster.admit(f"post{number}"))

    assert claims(decisions) == 10


def test_many_waiting_calls_get_as_many_slots(poster_with: WithPolicies, together: Together) -> None:
    poster = poster_with(rate="1/hour")
    poster.claim("first")

    receipts = together(THREADS - 1, lambda number: poster.deferred(f"post{number}"))

    hours = sorted(round(receipt["retry_after"] / 3600, 2) for receipt in receipts)
    assert hours == pytest.approx(list(range(1, THREADS)), abs=0.01)


def test_a_cap_of_three_lets_three_of_many_through(poster_with: WithPolicies, together: Together) -> None:
    poster = poster_with(cap="3/day")

    decisions = together(THREADS, lambda number: poster.admit(f"post{number}"))

    assert claims(decisions) == 3


def test_one_of_many_threads_is_the_probe(poster_with: WithPolicies, together: Together) -> None:
    poster = poster_with(breaker=Breaker(after=1, cooldown="5m"))
    poster.fail("fails")
    poster.pass_time_for_breaker(5 * MINUTE)

    decisions = together(THREADS, lambda number: poster.admit(f"post{number}"))

    assert claims(decisions) == 1


def test_one_of_many_processes_is_the_probe(poster_with: WithPolicies, valkey: Valkey) -> None:
    poster = poster_with(breaker=Breaker(after=1, cooldown="5m"))
    poster.fail("fails")
    poster.pass_time_for_breaker(5 * MINUTE)
    command = [sys.executable, "-c", ASK, valkey.url]
    processes = [
        subprocess.Popen([*command, str(number)], cwd=settings.ROOT, stdout=subprocess.PIPE, text=True)
        for number in range(3)
    ]

    for _ in processes:
        assert poster.redis.blpop("ready", 30)
    poster.redis.rpush("go", *["go"] * len(processes))

    probes = [int(process.communicate(timeout=patient(30))[0]) for process in processes]
    assert sum(probes) == 1


def test_an_attempt_that_is_settled_and_reclaimed_at_once_ends_one_way(poster: Poster, together: Together) -> None:
    def either(which: int) -> str | None:
        return poster.reclaim(claim, dead=False) if which else poster.settle(claim)

    for number in range(20):
        claim = poster.claim(f"post{number}")
        poster.cross(claim)
        poster.end_lease(claim)

        lost, stands = together(2, either)

        assert lost is None
        assert stands in {"kept", "unknown"}
        assert poster.key_of(claim)["state"] == "done"
        assert poster.document()["held"] == []


def test_every_error_of_many_is_counted_once(poster: Poster, together: Together) -> None:
    def fail(number: int) -> None:
        poster.fail(f"post{number}", error=json.dumps(number), counters={"total_failed": 1})

    together(THREADS, fail)

    assert poster.metrics()["total_failed"] == THREADS
    assert len(poster.document()["errors"]) == 20
