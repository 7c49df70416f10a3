"""resend.lua, through the sweep: lost and deferred calls are sent again, without multiplying a backlog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gatekeeper.policies.policy import Rate
from state.ledger.pending import newest_arrival
from state.ledger.sweep import GRACE_MS, MAX_GRACE_MS, DueCall
from state.options import Options
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, HOUR, SECOND, Poster


def due(poster: Poster, *, backlog: bool = False) -> list[DueCall]:
    return list(poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: not backlog))


def arrived(poster: Poster) -> dict[str, int]:
    return newest_arrival(poster.ledger.pending([AGENT]).values())


def never(_queue: str) -> bool:
    raise AssertionError("nothing is silent, so the queue need not be looked at")


def next_look(poster: Poster, call: str) -> float:
    """Seconds until this call counts as lost again."""
    return ((poster.redis.zscore(poster.n.queued, call) or 0) - poster.now()) / SECOND


def test_a_call_that_was_just_sent_is_not_due(poster: Poster) -> None:
    poster.register()

    assert due(poster) == []


def test_a_call_whose_message_is_lost_is_sent_again_under_its_own_id(poster: Poster) -> None:
    call = poster.register()
    poster.come_due(call, "queued")

    [again] = due(poster)

    assert again == DueCall(call.id, call.task, call.kwargs)


def test_a_call_that_is_sent_again_is_not_due_right_away(poster: Poster) -> None:
    poster.come_due(poster.register(), "queued")

    assert len(due(poster)) == 1
    assert due(poster) == []


def test_behind_a_backlog_no_call_counts_as_lost(poster: Poster) -> None:
    calls = [poster.register(poster.call(f"post{number}")) for number in range(5)]
    for call in calls:
        poster.come_due(call, "queued")

    assert due(poster, backlog=True) == []
    assert [round(next_look(poster, call.id)) for call in calls] == [10] * 5  # so the next ones are looked at first
    for call in calls:
        poster.come_due(call, "queued")
    assert {again.call for again in due(poster)} == {call.id for call in calls}


def test_a_message_that_later_ones_overtook_is_lost_even_behind_a_backlog(poster: Poster) -> None:
    lost, waiting = poster.register(poster.call("lost")), poster.register(poster.call("waiting"))
    poster.redis.hincrby(poster.n.call(lost.id), "sent_ms", -GRACE_MS - SECOND)
    poster.claim(poster.register(poster.call("later")))
    for call in (lost, waiting):
        poster.come_due(call, "queued")

    again = poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: False, arrived(poster))

    assert [one.call for one in again] == [lost.id]


def test_the_pause_between_two_sends_doubles_up_to_ten_minutes(poster: Poster) -> None:
    call = poster.register()
    pauses = []
    for _ in range(9):
        poster.come_due(call, "queued")
        assert len(due(poster)) == 1
        pauses.append(round(next_look(poster, call.id)))

    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert (GRACE_MS, MAX_GRACE_MS) == (10 * SECOND, 600 * SECOND)


def test_a_call_that_was_deferred_many_times_is_not_taken_for_lost_as_many_times(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="1/hour")
    poster.claim("first")
    call = poster.register(poster.call("waits"))
    for _ in range(9):
        poster.deferred(call)
        poster.come_due(call, "waiting")
        assert len(due(poster)) == 1

    assert round(next_look(poster, call.id)) == 10


def test_a_delayed_call_is_sent_when_its_time_has_come(poster: Poster) -> None:
    call = poster.call()
    poster.ledger.register(call, HOUR)
    assert due(poster) == []
    poster.come_due(call, "waiting")

    [sent] = due(poster, backlog=True)  # its message was never sent, so a backlog is no reason to wait

    assert sent.call == call.id
    assert poster.call_of(call)["state"] == "queued"
    assert poster.redis.zscore(poster.n.waiting, call.id) is None
    assert round(next_look(poster, call.id)) == 10


def test_a_deferred_call_is_sent_when_its_turn_has_come(poster_with: WithPolicies) -> None:
    poster = poster_with(rate="1/hour")
    poster.claim("first")
    call = poster.register(poster.call("waits"))
    poster.deferred(call)
    poster.come_due(call, "waiting")

    [sent] = due(poster)

    assert sent == DueCall(call.id, call.task, call.kwargs)


def test_a_failed_call_is_sent_again_when_its_back_off_is_over(poster: Poster) -> None:
    claim = poster.claim()
    poster.settle(claim, "failed", retry_ms=HOUR)
    assert due(poster) == []
    poster.come_due(poster.call(id=claim.call), "waiting")

    [sent] = due(poster)

    assert sent.call == claim.call


def test_a_call_that_runs_or_ended_is_never_sent(poster_with: WithPolicies) -> None:
    poster = poster_with(rate=Rate("2/hour", over="drop"))
    running, done, refused = (poster.register(poster.call(name)) for name in ("running", "done", "refused"))
    poster.claim(running)
    poster.settle(poster.claim(done))
    poster.refused(refused)

    assert list(poster.ledger.due(AGENT, [poster.gate.name], never)) == []
    assert poster.redis.zcard(poster.n.queued) == 0


def test_a_call_whose_record_is_gone_is_forgotten(poster: Poster) -> None:
    call = poster.register()
    poster.come_due(call, "queued")
    poster.redis.delete(poster.n.call(call.id))

    assert due(poster) == []
    assert poster.redis.zscore(poster.n.queued, call.id) is None


def test_two_sweepers_at_once_send_a_call_once(poster: Poster, together: Callable[..., list[list[DueCall]]]) -> None:
    for number in range(20):
        poster.come_due(poster.register(poster.call(f"post{number}")), "queued")

    found = together(8, lambda _: due(poster))

    sent = [each.call for several in found for each in several]
    assert len(sent) == len(set(sent)) == 20


def test_a_message_of_another_lane_overtakes_nothing(poster: Poster) -> None:
    """A backlog in one queue is not multiplied because messages in another one arrive."""
    waiting = replace(poster.call("waiting"), options=Options(queue="slowq").as_json())
    poster.register(waiting)
    poster.redis.hincrby(poster.n.call(waiting.id), "sent_ms", -GRACE_MS - SECOND)
    poster.claim(poster.register(poster.call("later")))
    poster.come_due(waiting, "queued")
    asked: list[str] = []

    def is_empty(queue: str) -> bool:
        asked.append(queue)
        return queue == ""

    assert list(poster.ledger.due(AGENT, [poster.gate.name], is_empty, arrived(poster))) == []
    assert asked == ["slowq"]


def test_a_call_is_sent_again_with_its_options(poster: Poster) -> None:
    call = replace(poster.call(), options=Options(queue="slowq", priority=9).as_json())
    poster.come_due(poster.register(call), "queued")

    assert due(poster) == [DueCall(call.id, call.task, call.kwargs, call.options)]
