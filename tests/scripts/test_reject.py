"""reject.lua: a message whose arguments do not fit ends as a refusal, and touches nothing that has begun."""

from __future__ import annotations

from dataclasses import replace

import pytest

from state.decision import ArgumentsDiffer, Refusal, Unregistered
from tests.scripts.poster import AGENT, DAY, HOUR, Poster

RECEIPT = {"error": "invalid arguments", "stage": "input", "detail": "post_id: too short"}


def reject(poster: Poster, call_id: str) -> None:
    """As the pipeline does it: without a key, because there is none without arguments."""
    nobody = poster.call(id=call_id)
    without_key = type(nobody)(call_id, AGENT, nobody.task, "", "{}", "", "message")
    poster.ledger.reject(without_key, RECEIPT, 7 * DAY, nobody.kwargs)


def test_a_call_that_nobody_knew_is_written_down_as_rejected(poster: Poster) -> None:
    reject(poster, "strange")

    record = poster.redis.hgetall(poster.n.call("strange"))
    assert (record["state"], record["door"]) == ("rejected", "message")
    assert 0 < poster.redis.pttl(poster.n.call("strange")) <= 7 * DAY
    assert poster.metrics() == {"total_refused": 1, "refused_input": 1}
    assert poster.revision() == 1


def test_a_second_message_of_it_gets_the_same_answer(poster: Poster) -> None:
    reject(poster, "strange")

    again = poster.admit(poster.call(id="strange"))

    assert isinstance(again, Refusal)
    assert (again.again, again.receipt) == (True, RECEIPT)


def test_a_registered_call_whose_arguments_no_longer_fit_is_rejected_with_its_key(poster: Poster) -> None:
    call = poster.register(poster.call("hello"))

    reject(poster, call.id)

    assert poster.call_of(call)["state"] == "rejected"
    assert poster.key_of(call.key)["state"] == "rejected"
    assert 0 < poster.redis.pttl(poster.n.key(call.key)) <= 7 * DAY
    assert poster.story(call.key)[-1]["event"] == "refused"
    assert poster.redis.zcard(poster.n.queued) == 0
    assert list(poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: True)) == []
    assert poster.claim("hello")


def test_a_call_that_waits_behind_another_of_its_key_is_rejected_alone(poster: Poster) -> None:
    first, second = poster.register(poster.call("hello")), poster.register(poster.call("hello"))

    reject(poster, second.id)

    assert poster.key_of(first.key)["state"] == "queued"
    assert poster.redis.pttl(poster.n.history(first.key)) == -1
    assert poster.claim(first)


@pytest.mark.parametrize("stands", ["claimed", "sending", "done", "unknown", "cancelled"])
def test_a_call_that_has_begun_or_ended_is_kept_as_it_is(poster: Poster, stands: str) -> None:
    call = poster.register(poster.call("hello"))
    if stands == "cancelled":
        poster.cancel(call.id, "ada")
    else:
        claim = poster.claim(call)
    if stands in {"sending", "unknown"}:
        poster.cross(claim)
    if stands in {"done", "unknown"}:
        poster.settle(claim, stands)  # type: ignore[arg-type]
    before = poster.dump()

    reject(poster, call.id)

    assert poster.dump() == before


@pytest.mark.parametrize("waits_ms", [0, HOUR])
def test_a_message_whose_arguments_fit_nothing_does_not_end_the_call_of_its_id(poster: Poster, waits_ms: int) -> None:
    call = poster.register(poster.call("hello"), delay_ms=waits_ms)
    forged = replace(call, key="", kwargs="{}", fingerprint="", origin="message")
    before = poster.dump()

    assert poster.ledger.reject(forged, RECEIPT, DAY, '{"nonsense":1}') == ArgumentsDiffer(call.task, call.kwargs)
    assert poster.ledger.reject(forged, RECEIPT, DAY, "") == ArgumentsDiffer(call.task, call.kwargs), (
        "positional arguments"
    )
    assert poster.ledger.reject(
        replace(forged, task="tasks.poster.remove"), RECEIPT, DAY, call.kwargs
    ) == ArgumentsDiffer(call.task, call.kwargs)
    assert poster.dump() == before


def test_nothing_is_written_of_a_strange_message_before_other_agents_were_asked(poster: Poster) -> None:
    strange = poster.call(id="strange")

    assert poster.ledger.reject(strange, RECEIPT, DAY, "{}", checked=False) == Unregistered()
    assert poster.dump() == {}


def test_an_id_is_found_in_the_agent_that_has_it(poster: Poster) -> None:
    call = poster.register()

    assert poster.ledger.agent_of(call.id, ["another", AGENT, "third"]) == AGENT
    assert poster.ledger.agent_of(call.id, ["another"]) is None
    assert poster.ledger.agent_of("strange", ["another", AGENT]) is None
