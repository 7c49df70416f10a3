"""Policies that make no sense are refused at import, with a message that says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

import gatekeeper
from gatekeeper import Breaker, Budget, Cap, Effect, PolicyError, Rate, Rung
from gatekeeper.policies.spec import TaskSpec, registered
from tasks import publisher


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    before = dict(registered())
    yield
    registered().clear()
    registered().update(before)


def post(post_id: str, destination: str = "feed") -> str:
    return f"{post_id} {destination}"


def import_with(**policies: Any) -> TaskSpec:
    """Do what the import of a module with this task does."""
    gatekeeper.task(**policies)(post)
    return registered()[f"{__name__}.post"]


KEYED: dict[str, Any] = {"key": "post:{post_id}"}
AN_EFFECT: dict[str, Any] = {**KEYED, "effect": Effect()}


@pytest.mark.parametrize(
    ("policies", "says"),
    [
        ({"key": "post:{id}"}, r"names \{id\}, which is not an argument of the task; it has: destination, post_id"),
        ({"key": "post:{}"}, "which is not an argument"),
        ({"key": "post:{post_id"}, "is not a template"),
        ({"effect": Effect()}, "has an effect but no key; write key="),
        ({"effect": Effect(), "key": ""}, "has an effect but no key; write key="),
        ({**KEYED, "cap": "30/day"}, r"has a cap but no effect.*add effect=Effect\(\)"),
        ({"lease": "1m", "time_limit": "2m"}, "lease of 60s is shorter than the time limit of 120s.*lengthen lease="),
        ({"rate": "10 per hour"}, "write for example '10/hour'"),
        ({"rate": 10}, "write for example '10/hour'"),
        ({"rate": ["10/hour", "often"]}, "write for example '10/hour'"),
        ({"rate": "0/hour"}, "write for example '10/hour'"),
        ({**AN_EFFECT, "cap": "many"}, "write for example '10/hour'"),
        ({**AN_EFFECT, "cap": 30}, "write for example '10/hour'"),
        ({"budget": "200000/day"}, "'200000/day' is not a budget; write for example '200000 tokens/day' or"),
        ({"budget": "200000 words/day"}, "is not a budget; write for example '200000 tokens/day'"),
        ({"budget": "0 tokens/day"}, "is not a budget; write for example '200000 tokens/day'"),
        (
            {"budget": "9999999999 tokens/day"},
            "is more than 1,000,000,000 per period; write for example '200000 tokens",
        ),
        ({"budget": "9" * 5000 + " tokens/day"}, "is not a budget; write for example '200000 tokens/day'"),
        ({"budget": "5 tokens/fortnight"}, "'fortnight' is not a duration"),
        ({"budget": 200000}, "budget=200000 is not a text; write for example '200000 tokens/day'"),
        ({"budget": Rate("1/day")}, "is not a text; write for example '200000 tokens/day'"),
        ({"budget": ["9 tokens/day", "7 tokens/1d"]}, "two budgets for the same period; remove the larger one"),
        ({"budget": Budget("9 tokens/day", scope="{who}")}, r"names \{who\}, which is not an argument"),
        ({"breaker": 3}, r"breaker=3.*write breaker=Breaker\("),
        ({"breaker": Breaker}, r"breaker=.*write breaker=Breaker\("),
        ({**KEYED, "effect": True}, r"effect=True.*write effect=Effect\("),
        ({**KEYED, "effect": Effect}, r"effect=.*write effect=Effect\("),
        ({"lease": 120}, "write for example '30s'"),
        ({"lease": "two minutes"}, "write for example '30s'"),
        ({"time_limit": "soon"}, "write for example '30s'"),
        ({"backoff": "0s"}, "must be longer than zero"),
        ({"max_age": "old"}, "write for example '30s'"),
        ({"attempts": 0}, "attempts=0; write at least 1"),
        ({"attempts": -1}, "attempts=-1; write at least 1"),
        ({"attempts": "3"}, "attempts='3'; write at least 1"),
        ({"attempts": True}, "attempts=True; write at least 1"),
        ({"attempts": 2.5}, "attempts=2.5; write at least 1"),
        ({"attempts": float("nan")}, "attempts=nan; write at least 1"),
        ({"attempts": 10**9}, "at most 1000"),
        ({"key": 7}, "key=7; write a template"),
        ({"key": " "}, "key=' '; write a template"),
        ({"key": ["post:{post_id}"]}, "key=.*; write a template"),
        ({"rate": 0}, "rate=0 is not a text; write for example '10/hour'"),
        ({"rate": ""}, "write for example '10/hour'"),
        ({"rate": {"10/hour": 1}}, "write for example '10/hour'"),
        ({"rate": "9" * 5000 + "/hour"}, "write for example '10/hour'"),
        ({"rate": "99999999999999/hour"}, "write for example '10/hour'"),
        ({**AN_EFFECT, "cap": Rate("1/day")}, "write for example '10/hour'"),
        ({"lease": -1}, "lease=: -1 is not a duration; write for example '30s'"),
        ({"lease": None}, "lease=: None is not a duration"),
        ({"lease": "9" * 5000 + "d"}, "lease=: .* is not a duration"),
        ({"lease": "99999999999999d"}, "lease=: .* is longer than ten years"),
        ({"lease": timedelta(seconds=-1)}, "lease=: .* must be longer than zero"),
        ({"time_limit": 0}, "time_limit=: 0 is not a duration"),
        ({"time_limit": ""}, "time_limit=: '' is not a duration"),
        ({"backoff": None}, "backoff=: None is not a duration"),
        ({"max_age": None}, "max_age=: None is not a duration"),
        ({"breaker": True}, r"breaker=True.*write breaker=Breaker\("),
    ],
)
def test_nonsense_is_refused_at_import_with_what_to_do(policies: dict[str, Any], says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        import_with(**policies)

    assert not any(name.endswith(".post") for name in registered())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Rate("10/hour", over="wiat"), "write 'wait' or 'drop'"),  # type: ignore[arg-type]
        (lambda: Rate("10/hour", within="long"), "write for example '30s'"),
        (lambda: Cap("lots"), "write for example '10/hour'"),
        (lambda: Budget("lots"), "write for example '200000 tokens/day'"),
        (lambda: Budget("9 tokens/day", scope=7), "is not a template"),  # type: ignore[arg-type]
        (lambda: Breaker(after=0), "write at least 1"),
        (lambda: Breaker(after="3"), "write at least 1"),  # type: ignore[arg-type]
        (lambda: Breaker(cooldown="later"), "write for example '30s'"),
        (lambda: Effect(verify="find_post"), "is not a function"),  # type: ignore[arg-type]
        (lambda: Effect(undo=7), "is not a function"),  # type: ignore[arg-type]
        (lambda: Effect(accepts="best"), "model, rules, raw"),  # type: ignore[arg-type]
        (lambda: Effect(accepts=["model"]), "model, rules, raw"),  # type: ignore[arg-type]
        (lambda: Effect(absences=True), "write at least 1"),
        (lambda: Breaker(after=True), "write at least 1"),
        (lambda: Breaker(scope=7), "is not a template"),  # type: ignore[arg-type]
        (lambda: Rate("1/hour", scope=None), "is not a template"),  # type: ignore[arg-type]
        (lambda: Rate("1/hour", over=["wait"]), "write 'wait' or 'drop'"),  # type: ignore[arg-type]
        (lambda: Effect(drain="soon"), "write for example '30s'"),
        (lambda: Effect(drain=90), "write for example '30s'"),  # type: ignore[arg-type]
        (lambda: Effect(drain="0s"), "must be longer than zero"),
        (lambda: Effect(every="often"), "write for example '30s'"),
        (lambda: Effect(every="0s"), "must be longer than zero"),
        (lambda: Effect(absences=0), "would need no proof; write at least 1"),
        (lambda: Effect(absences=-1), "write at least 1"),
        (lambda: Effect(absences="2"), "write at least 1"),  # type: ignore[arg-type]
        (lambda: Effect(absences=1.5), "write at least 1"),  # type: ignore[arg-type]
    ],
)
def test_a_policy_refuses_nonsense_of_its_own(make: Callable[[], object], says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        make()


@pytest.mark.parametrize("policy", [Rate("1/hour", scope="{who}"), Rate("1/hour", scope="{}")])
def test_a_scope_that_names_no_argument_is_refused(policy: Rate) -> None:
    with pytest.raises(PolicyError, match="which is not an argument of the task"):
        import_with(rate=policy)


def test_a_scope_of_a_breaker_or_a_cap_that_names_no_argument_is_refused() -> None:
    with pytest.raises(PolicyError, match="which is not an argument of the task"):
        import_with(breaker=Breaker(scope="{who}"))
    with pytest.raises(PolicyError, match="which is not an argument of the task"):
        import_with(**AN_EFFECT, cap=Cap("1/day", scope="{who}"))


@pytest.mark.parametrize("misspelt", ["rates", "caps", "leese", "idempotency_key", "max_retries", "bind"])
def test_a_misspelt_policy_is_refused(misspelt: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{misspelt}'"):
        import_with(**{misspelt: "10/hour"})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"bind": True}, "remove it, and 'self'"),
        ({"max_retries": 3}, "write attempts=, with backoff="),
        ({"autoretry_for": (OSError,)}, "write attempts="),
        ({"default_retry_delay": 3}, "write backoff="),
        ({"rate_limit": "10/m"}, "write rate="),
        ({"soft_time_limit": 3}, "write time_limit="),
        ({"expires": 3}, "write max_age="),
        ({"acks_late": True}, "the gate handles this"),
        ({"name": "x"}, "takes its name from its module and function"),
        ({"queue": "slow"}, "give it to apply_async"),
        ({"ignore_result": True}, "give it to apply_async"),
        ({"serializer": "pickle"}, "messages are JSON"),
        ({"typing": False}, "the annotations say"),
        ({"rates": "10/hour"}, r"did you mean rate=\?"),
        (
            {"xyz": 1},
            "the policies are: key, rate, cap, budget, breaker, effect, lease, time_limit, attempts, backoff, max_age",
        ),
    ],
)
def test_an_option_of_celery_is_refused_with_what_to_write_here(given: dict[str, Any], says: str) -> None:
    with pytest.raises(PolicyError, match=says) as refusal:
        import_with(**given)

    assert "\n" not in str(refusal.value)


def test_there_is_no_task_without_parentheses() -> None:
    with pytest.raises(PolicyError, match=r"before post without brackets; write @gatekeeper.task\(\)"):
        gatekeeper.task(post)
    with pytest.raises(PolicyError, match="every policy has a name; write for example key=…"):
        gatekeeper.task("post:{post_id}")


@pytest.mark.parametrize(
    "body", [lambda: None, partial(post, "x"), print, 7, None], ids=lambda body: type(body).__name__
)
def test_a_decorator_before_what_has_no_name_of_its_own_is_refused(body: Any) -> None:
    with pytest.raises(PolicyError, match=r"stands before a function, not before .*; write def NAME"):
        gatekeeper.task()(body)


def test_a_decorator_before_a_task_is_refused() -> None:
    from celery import shared_task

    with pytest.raises(PolicyError, match=r"is a task already; keep @gatekeeper.task\(…\)"):
        gatekeeper.task()(shared_task(post))


def test_a_decorator_before_something_else_than_a_function_is_refused() -> None:
    with pytest.raises(PolicyError, match="stands before a function"):
        gatekeeper.task()(type("Post", (), {}))


def test_star_arguments_are_refused() -> None:
    def several(*posts: str) -> None: ...

    def named(**posts: str) -> None: ...

    def positional(post_id: str, /) -> None: ...

    for body in (several, named, positional):
        with pytest.raises(PolicyError, match="name every argument"):
            gatekeeper.task()(body)


def test_an_argument_without_annotation_is_refused_by_name() -> None:
    def bare(post_id) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    with pytest.raises(PolicyError, match="argument 'post_id' has no annotation; write what it must be"):
        gatekeeper.task()(bare)


def test_an_annotation_that_cannot_be_read_is_refused_with_what_to_do() -> None:
    def hidden(post_id: Unheard) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(PolicyError, match="import that name at the module's top"):
        gatekeeper.task()(hidden)


def test_an_argument_that_no_caller_could_name_is_refused() -> None:
    def method(self: str) -> None: ...

    with pytest.raises(PolicyError, match="self"):
        gatekeeper.task()(method)


def test_a_module_whose_name_is_no_agents_name_is_refused() -> None:
    def body() -> None: ...

    body.__module__ = "tasks.Über Agent"

    with pytest.raises(PolicyError, match="cannot name an agent"):
        gatekeeper.task()(body)


def test_sensible_policies_are_taken_as_they_are() -> None:
    gate = import_with(
        **AN_EFFECT,
        rate=["10/hour", Rate("3/minute", over="drop", scope="{destination}")],
        cap=["30/day", Cap("5/day", scope="{destination}")],
        breaker=Breaker(after=3, cooldown="5m"),
        lease="2m",
        time_limit="1m",
    )

    assert [rate.text for rate in gate.rates] == ["10/hour", "3/minute"]
    assert [cap.text for cap in gate.caps] == ["30/day", "5/day"]
    assert (gate.lease_ms, gate.limit_ms, gate.attempts) == (120_000, 60_000, 1)


def test_repeat_safe_work_is_tried_three_times_and_an_effect_once() -> None:
    assert import_with().attempts == 3
    assert import_with(**AN_EFFECT).attempts == 1


def test_rungs_go_from_the_best_to_the_lowest() -> None:
    assert Rung.RAW.is_below(Rung.RULES)
    assert Rung.RULES.is_below(Rung.MODEL)
    assert not Rung.MODEL.is_below(Rung.MODEL)


def find(post: dict[str, str], destination: str) -> None:
    """Not there."""


def test_how_an_absence_is_proven_goes_with_the_terms_of_every_call() -> None:
    effect = Effect(verify=find, drain="2m", absences=3, every="30s")
    gate = import_with(**KEYED, effect=effect)

    told = json.loads(gate.limits({"post_id": "hello", "destination": "feed"}).verify)

    assert told == {"drain_ms": 120_000, "absences": 3, "every_ms": 30_000}


def test_two_absences_a_minute_apart_after_ninety_seconds_are_proof_unless_said_otherwise() -> None:
    assert json.loads(Effect(verify=find).proof) == {"drain_ms": 90_000, "absences": 2, "every_ms": 60_000}


def test_where_nobody_can_ask_there_is_no_proof() -> None:
    assert Effect().proof == ""
    assert import_with(**AN_EFFECT).limits({"post_id": "hello", "destination": "feed"}).verify == ""
    assert import_with().limits({"post_id": "hello", "destination": "feed"}).verify == ""


@pytest.mark.parametrize("name", ["verify", "undo"])
def test_a_look_up_that_names_no_argument_of_the_task_is_refused(name: str) -> None:
    with pytest.raises(PolicyError, match=rf"Effect\({name}=…\): parameter 'place' is not an argument"):
        import_with(**KEYED, effect=Effect(**{name: lambda post, place: None}))  # type: ignore[arg-type]  # verify or undo


def test_what_fails_at_one_destination_takes_no_slot_of_another() -> None:
    feed, mastodon = (
        publisher.publish.spec.limits({"post_id": "hello", "destination": name}) for name in ("feed", "mastodon")
    )

    assert set(feed.rates).isdisjoint(mastodon.rates)
    assert feed.breaker != mastodon.breaker
    assert feed.caps == mastodon.caps
