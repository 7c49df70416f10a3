"""What went over the wire decides, not what the last exception says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.effects.client import EffectServer
from tests.harness import Install
from tests.harness.valkey import Valkey

PLAY = """
    import json, sys
    import trickster
    endings = []
    for again in range(2):
        try:
            endings.append(["answered", trickster.{call}])
        except BaseException as error:
            endings.append([type(error).__name__, str(error)])
    print(json.dumps(endings, default=str))
"""

MAY_HAVE_HAPPENED = [
    "applied_then_looked_up",
    "applied_then_refused",
    "applied_then_raised",
    "applied_by_httpx_then_refused",
    "applied_by_an_open_httpx_client_then_refused",
    "applied_by_another_program_then_refused",
    "applied_in_a_thread_then_refused",
    "left_with_sys_exit",
]


@pytest.fixture
def tricks(install_on: Callable[[Valkey], Install], valkey: Valkey) -> Install:
    installed = install_on(valkey)
    installed.env["TASK_MODULES"] = "trickster"
    return installed


def play(install: Install, call: str) -> list[list[object]]:
    endings: list[list[object]] = install.json_of(PLAY.format(call=call))
    return endings


@pytest.mark.parametrize("trick", MAY_HAVE_HAPPENED)
def test_a_failure_after_something_was_sent_leaves_the_outcome_unknown(
    tricks: Install, effects: EffectServer, trick: str
) -> None:
    first, second = play(tricks, f"play(trick={trick!r})")

    assert effects.counts() == {f"trick:{trick}:1": 1}
    assert first[0] == "OutcomeUnknown", first
    assert second[0] == "answered"
    assert second[1]["error"] == "outcome unknown"  # type: ignore[index]
    assert tricks.explain(f"trick:{trick}:1")["state"] == "unknown"


def test_a_session_that_retries_by_itself_leaves_the_outcome_unknown(tricks: Install, effects: EffectServer) -> None:
    """The library itself may send twice, which no gate can see; but after that nothing is sent again."""
    play(tricks, "play(trick='retried_by_the_session')")
    sent = effects.count("trick:retried_by_the_session:1")

    play(tricks, "play(trick='retried_by_the_session')")

    assert effects.count("trick:retried_by_the_session:1") == sent


@pytest.mark.parametrize("trick", ["refused_at_once", "answered_429"])
def test_a_failure_that_proves_that_nothing_happened_and_passes_by_itself_is_waited_out(
    tricks: Install, effects: EffectServer, trick: str
) -> None:
    first, second = play(tricks, f"play(trick={trick!r})")

    assert effects.counts() == {}
    assert first[0] == second[0] == "answered"
    assert (first[1]["stage"], first[1]["deferred"]) == ("service", True)  # type: ignore[index]
    assert tricks.explain(f"trick:{trick}:1")["state"] == "waiting"


def test_what_a_task_called_inside_the_effect_sends_counts_too(tricks: Install, effects: EffectServer) -> None:
    first, _ = play(tricks, "play(trick='applied_by_another_task_then_refused')")

    assert effects.counts() == {"inner:1": 1}
    assert first[0] == "OutcomeUnknown", first


def test_what_another_attempt_sends_meanwhile_does_not_count(tricks: Install, effects: EffectServer) -> None:
    ending = tricks.json_of("""
        import json, threading
        import trickster
        other = threading.Thread(target=trickster.chatter)
        other.start()
        answer = trickster.play(trick="refused_while_another_attempt_sends")
        other.join()
        print(json.dumps(answer))
    """)

    assert effects.counts() == {"chatter": 1}
    assert (ending["ok"], ending["stage"]) == (False, "service")
    assert tricks.explain("trick:refused_while_another_attempt_sends:1")["state"] == "waiting"


def test_threads_that_cross_the_line_together_send_once(tricks: Install, effects: EffectServer) -> None:
    first, _ = play(tricks, "cross_in_two_threads(n=1)")

    assert effects.counts() == {"twice:1": 1}
    assert first[1]["result"] == 1  # type: ignore[index]


@pytest.mark.parametrize("kind", ["object", "secret"])
def test_a_payload_that_json_cannot_carry_is_refused_before_the_effect(
    tricks: Install, effects: EffectServer, kind: str
) -> None:
    first, _ = play(tricks, f"freeze(kind={kind!r})")

    assert first[0] == "EffectError", first
    assert effects.counts() == {}
    assert tricks.explain(f"payload:{kind}")["state"] == "rejected"


def test_a_metric_that_cannot_be_counted_does_not_lose_the_effect(tricks: Install, effects: EffectServer) -> None:
    first, second = play(tricks, "count(n=1, by=0.5)")

    assert effects.counts() == {"count:1": 1}
    assert first[0] == "GatekeeperError"
    assert second[1]["replayed"]  # type: ignore[index]
    assert tricks.explain("count:1")["state"] == "done"
