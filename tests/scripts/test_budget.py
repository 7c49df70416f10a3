"""spend.lua and admit.lua: the tokens that models charge count at once, and no call starts while a budget is used up."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

import gatekeeper
from gatekeeper.errors import GatekeeperError
from gatekeeper.policies.policy import Budget, Rate
from gatekeeper.run import pipeline
from state.agents import standing, used_up
from state.constants import BUDGET_SLICES
from state.decision import Refusal
from state.errors import RedisAway
from state.ledger import Ledger
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, DAY, HOUR, MINUTE, SECOND, Poster
from tests.scripts.test_admit import taken

A_SLICE = DAY // BUDGET_SLICES
HALF_A_DAY = 30 * A_SLICE


def spent(poster: Poster, post_id: str = "one", tokens: int = 100) -> None:
    """One attempt that spends tokens and goes well."""
    claim = poster.claim(post_id)
    poster.spend(claim, tokens)
    poster.settle(claim)


def used(poster: Poster, **more: str) -> list[int]:
    """Return each budget as the desk and /metrics read it."""
    [found] = standing.read([poster.scope_of(poster.call("looked at", **more))])
    return [budget.used for budget in found.budgets]


def listed(poster: Poster) -> list[used_up.UsedUp]:
    return used_up.read([AGENT])[AGENT]


def test_a_call_starts_while_fewer_tokens_are_spent_than_the_budget_has(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="100 tokens/day")
    spent(poster, "one", 99)
    last = poster.claim("two")

    assert poster.spend(last, 50) == ["100 tokens/day"]

    receipt = poster.refused("three")
    assert (receipt["error"], receipt["stage"]) == ("budget used up", "budget")
    assert (receipt["rule"], receipt["tokens"]) == ("100 tokens/day", 149), "the call that ran went beyond it"
    assert (DAY - MINUTE) / SECOND < receipt["retry_after"] <= (DAY + A_SLICE) / SECOND


def test_calls_under_way_see_what_the_others_spend_before_any_of_them_ends(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="100 tokens/day")
    one, two = poster.claim("one"), poster.claim("two")
    poster.spend(one, 60)
    poster.spend(two, 60)

    assert poster.refused("three")["tokens"] == 120


def test_a_refusal_leaves_nothing_taken(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="100 tokens/day", rate="10/hour", cap="5/day")
    spent(poster)
    before = taken(poster)

    poster.refused("two")

    assert taken(poster) == before
    assert poster.metrics()["refused_budget"] == 1


def test_the_budget_stands_between_the_cap_and_the_rate(poster_with: WithPolicies) -> None:
    """A full cap needs a person, and to wait for a rate is useless while the budget is used up."""
    poster = poster_with(budget="100 tokens/day", rate=Rate("1/hour", over="drop"), cap="1/day")
    claim = poster.claim("one")
    poster.spend(claim, 100)
    assert poster.refused("two")["stage"] == "cap"
    poster.settle(claim, applied=False)

    assert poster.refused("three")["stage"] == "budget"
    poster.pass_time_for_budgets(2 * DAY)
    assert poster.refused("four")["stage"] == "rate"


def test_a_call_that_nobody_submits_again_waits_until_the_budget_has_room(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="100 tokens/day", effect=False)
    call = poster.call("one")
    claim = poster.claim(call)
    poster.spend(claim, 100)
    poster.settle(claim, "failed", retry_ms=1)
    poster.come_due(call, "waiting")

    receipt = poster.deferred(call)

    due = poster.redis.zscore(poster.n.waiting, call.id)
    assert receipt["stage"] == "budget"
    assert due is not None
    assert DAY - MINUTE < due - poster.now() <= DAY + A_SLICE


def test_tokens_count_for_the_whole_period_and_at_most_a_sixtieth_longer(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="100 tokens/day")
    spent(poster)

    poster.pass_time_for_budgets(DAY - A_SLICE)
    assert poster.refused("two")["retry_after"] <= 2 * A_SLICE / SECOND
    poster.pass_time_for_budgets(3 * A_SLICE)

    poster.claim("three")
    assert used(poster) == [0]


@pytest.mark.parametrize(("slices_ago", "counts"), [(BUDGET_SLICES, True), (BUDGET_SLICES + 1, False)])
def test_a_slice_counts_until_its_end_is_a_period_ago(poster_with: WithPolicies, slices_ago: int, counts: bool) -> None:
    poster = poster_with(budget="100 tokens/day")
    [name] = poster.scope_of(poster.call("one")).budgets

    def decided() -> tuple[bool, bool]:
        newest = poster.now() // A_SLICE
        poster.redis.delete(name)
        poster.redis.hset(name, str(newest - slices_ago), 100)
        is_refused = isinstance(poster.admit(poster.call("one")), Refusal)
        return is_refused, poster.now() // A_SLICE == newest

    is_refused, is_within_one_slice = decided()
    if not is_within_one_slice:
        is_refused, _ = decided()

    assert is_refused is counts


def test_room_comes_back_as_soon_as_enough_of_the_oldest_tokens_are_a_period_old(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="100 tokens/day")
    spent(poster, "old", 60)
    poster.pass_time_for_budgets(HALF_A_DAY)
    spent(poster, "new", 60)

    assert poster.refused("one")["retry_after"] <= (HALF_A_DAY + A_SLICE) / SECOND
    poster.pass_time_for_budgets(HALF_A_DAY + 2 * A_SLICE)

    poster.claim("two")
    assert used(poster) == [60]


def test_there_is_no_room_when_what_is_left_is_too_much_still(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="100 tokens/day")
    spent(poster, "old", 10)
    poster.pass_time_for_budgets(HALF_A_DAY)
    spent(poster, "new", 110)

    assert poster.refused("one")["retry_after"] > (DAY - MINUTE) / SECOND


def test_what_was_counted_of_an_attempt_is_not_counted_again(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="1000 tokens/day")
    claim = poster.claim("one")

    for total in (40, 40, 70, 40):  # an answer that was lost, and one that came late
        poster.spend(claim, total)

    assert used(poster) == [70]


def test_each_attempt_of_a_key_counts_however_it_ends(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="1000 tokens/day", effect=False)
    call = poster.call("one")
    failed = poster.claim(call)
    poster.spend(failed, 10)
    poster.settle(failed, "failed", retry_ms=1)
    poster.come_due(call, "waiting")
    lost = poster.claim(call)
    poster.spend(lost, 20)
    assert poster.reclaim(lost, dead=True) == "queued"
    poster.spend(poster.claim(call), 30)

    poster.spend(lost, 25)  # its worker was only stopped, and goes on

    assert used(poster)[0] >= 10 + 25 + 30, "rather twice than not at all"


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_tokens_that_redis_was_away_for_are_counted_when_the_attempt_has_settled(
    poster_with: WithPolicies, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    poster, spend, asked = poster_with(budget="1000 tokens/day", effect=False), Ledger.spend, []

    def away_at_first(*args: Any) -> list[str]:
        asked.append(args)
        if len(asked) == 1:
            raise RedisAway("Redis does not answer")
        return spend(*args)

    def think(post_id: str, **_: str) -> str:
        gatekeeper.spend(30, "own")
        if ends == "badly":
            raise RuntimeError(post_id)
        return post_id

    monkeypatch.setattr(Ledger, "spend", away_at_first)
    monkeypatch.setattr(poster.gate, "body", think)
    with suppress(RuntimeError):
        pipeline.run(poster.gate, ("one",), {}, call_id="away", origin="test")

    assert len(asked) == 2
    assert used(poster) == [30]
    assert poster.metrics()["tokens_own"] == 30


@pytest.mark.parametrize("tokens", [-1, 1.5, True, "9", None, 10**10])
def test_what_is_not_a_number_of_tokens_is_refused(tokens: Any) -> None:
    with pytest.raises(GatekeeperError, match=r"spend\(.*tokens are a whole number of at most 1,000,000,000"):
        gatekeeper.spend(tokens, "own")


def test_a_key_that_is_gone_does_not_come_back_with_what_it_spent(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="1000 tokens/day")
    claim = poster.claim("one")
    poster.redis.flushall()

    poster.spend(claim, 10)

    assert used(poster) == [10]
    assert poster.key_of(claim) == {}


def test_a_key_that_is_done_keeps_nothing_of_what_it_spent(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="1000 tokens/day")

    spent(poster)

    assert "spent" not in poster.key_of("post:feed:one")


def test_each_value_of_a_scope_has_a_budget_of_its_own(poster_with: WithPolicies) -> None:
    poster = poster_with(budget=Budget("100 tokens/day", scope="{destination}"))
    spent(poster)

    assert poster.refused(poster.call("two"))["stage"] == "budget"
    poster.claim(poster.call("two", destination="mastodon"))
    assert (used(poster), used(poster, destination="mastodon")) == ([100], [0])
    assert [(each.scope, each.whose) for each in listed(poster)] == [("feed", f"{poster.gate.name} (feed)")]


def test_the_first_budget_that_is_used_up_stops_a_call(poster_with: WithPolicies) -> None:
    poster = poster_with(budget=["1000 tokens/day", "100 tokens/hour"], rate="99/hour")
    spent(poster)

    assert poster.refused("two")["rule"] == "100 tokens/hour"
    poster.pass_time_for_budgets(2 * HOUR)
    spent(poster, "three", 900)
    assert poster.refused("four")["rule"] == "1000 tokens/day"


def test_another_number_of_tokens_keeps_what_was_spent(poster_with: WithPolicies) -> None:
    spent(poster_with(budget="100 tokens/day"))

    larger = poster_with(budget="300 tokens/day")

    assert used(larger) == [100]
    spent(larger, "two", 100)
    assert listed(larger) == [], "it has room again"


def test_tokens_of_a_clock_that_was_ahead_count_for_one_period(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="100 tokens/day")
    spent(poster)
    poster.pass_time_for_budgets(-30 * DAY)

    assert poster.refused("two")["retry_after"] <= (DAY + A_SLICE) / SECOND
    poster.pass_time_for_budgets(DAY + 2 * A_SLICE)
    poster.claim("three")


def test_a_budget_is_listed_since_it_was_used_up_until_it_has_room(poster_with: WithPolicies) -> None:
    poster = poster_with(budget="100 tokens/day")
    assert listed(poster) == []
    running = [poster.claim(name) for name in ("one", "two")]
    poster.spend(running[0], 100)
    [before] = listed(poster)
    told_again = poster.spend(running[1], 20)

    [found] = listed(poster)

    assert told_again == [], "it is told once"
    assert (found.task, found.rule, found.limit, found.tokens) == (poster.gate.name, "100 tokens/day", 100, 120)
    assert (found.key, found.since_ms) == (running[1].key, before.since_ms)
    assert DAY - MINUTE < found.until_ms - poster.now() <= DAY + A_SLICE
    assert list(used_up.of_list(poster.redis.hgetall(poster.n.used_up), found.until_ms)) == []


@pytest.mark.parametrize("policies", [{}, {"rate": "9/hour", "cap": "9/day"}])
def test_nothing_of_budgets_is_sent_for_a_task_without_one(poster_with: WithPolicies, policies: dict[str, Any]) -> None:
    limits = poster_with(**policies).scope_of(poster_with(**policies).call("one"))

    assert limits.budgets == ()
    assert "budgets" not in json.loads(limits.policy)


def test_the_readers_say_what_the_gate_decides(poster_with: WithPolicies) -> None:
    """standing.py counts in Python what budget.lua.inc counts in the server."""
    poster = poster_with(budget="100 tokens/day")
    for name, tokens in (("one", 10), ("two", 60), ("three", 60)):
        spent(poster, name, tokens)
        poster.pass_time_for_budgets(7 * A_SLICE)
    [found] = standing.read([poster.scope_of(poster.call("looked at"))])
    [budget] = found.budgets

    receipt = poster.refused("four")

    assert (budget.used, budget.limit) == (receipt["tokens"], 100)
    assert budget.opens_ms / SECOND == pytest.approx(poster.now() / SECOND + receipt["retry_after"], abs=60)
