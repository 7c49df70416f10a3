"""What is left of the limits of a task, for `/metrics`: of a limit with a scope, what is left in the tightest one."""

from __future__ import annotations

import pytest

from gatekeeper.policies.policy import Budget, Cap, Rate
from gatekeeper.policies.spec import registered
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT
from workers.readings import limits

HALF_AN_HOUR = 1800


def test_limits_with_a_scope_are_told_as_the_scope_that_has_least_left(poster_with: WithPolicies) -> None:
    poster = poster_with(
        cap=["9/day", Cap("5/day", scope="{destination}")], rate=["4/minute", Rate("2/hour", scope="{destination}")]
    )
    for post, destination in (("a", "feed"), ("b", "feed"), ("c", "mastodon")):
        claim = poster.claim(poster.call(post, destination=destination))
        poster.cross(claim)
        poster.settle(claim)

    [task] = limits.tightest([poster.gate])

    assert {cap.rule: (cap.used, cap.limit) for cap in task.caps} == {"9/day": (3, 9), "5/day": (2, 5)}
    waits = {rate.rule: rate.wait for rate in task.rates}
    assert waits["4/minute"] == 0
    assert waits["2/hour"] == pytest.approx(HALF_AN_HOUR, abs=600)


def test_two_limits_of_one_rule_are_told_as_the_tighter_one(poster_with: WithPolicies) -> None:
    poster = poster_with(cap=["5/day", Cap("5/day", scope="{destination}")])
    for post, destination in (("a", "feed"), ("b", "mastodon")):
        claim = poster.claim(poster.call(post, destination=destination))
        poster.cross(claim)
        poster.settle(claim)

    [task] = limits.tightest([poster.gate])

    assert [(cap.rule, cap.used) for cap in task.caps] == [("5/day", 2)]


def test_a_budget_with_a_scope_is_told_as_the_scope_that_spent_most(
    poster_with: WithPolicies, monkeypatch: pytest.MonkeyPatch
) -> None:
    poster = poster_with(budget=Budget("100 tokens/day", scope="{destination}"))
    for destination, tokens in (("feed", 120), ("mastodon", 30)):
        claim = poster.claim(poster.call("a", destination=destination))
        poster.spend(claim, tokens)
        poster.settle(claim)

    monkeypatch.setitem(registered(), poster.gate.name, poster.gate)

    [task] = limits.tightest([poster.gate])
    told = {each.scope: each for each in limits.of_agent(AGENT)}

    assert [(budget.rule, budget.used, budget.limit) for budget in task.budgets] == [("100 tokens/day", 120, 100)]
    assert (told["feed"].left, told["feed"].is_bad) == ("120 of 100 tokens used, 0 left", True)
    assert (told["mastodon"].left, told["mastodon"].is_bad) == ("30 of 100 tokens used, 70 left", False)


def test_limits_that_nothing_used_yet_are_told_as_free(poster_with: WithPolicies) -> None:
    poster = poster_with(cap=Cap("5/day", scope="{destination}"), rate="1/hour")

    [task] = limits.tightest([poster.gate])

    assert [cap.used for cap in task.caps] == [0]
    assert [(rate.left, rate.wait) for rate in task.rates] == [(1, 0)]
