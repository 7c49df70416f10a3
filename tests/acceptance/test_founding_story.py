"""The night this project exists for: 47 attempts at one post, and one post."""

from __future__ import annotations

from typing import Any

from tests.effects.client import EffectServer
from tests.harness import Install

#: How often the same post went out that night.
ATTEMPTS = 47

RETRY_LOOP_OVER_THE_QUEUE = f"""
    import json
    import storyteller

    endings = []
    for attempt in range({ATTEMPTS}):
        call = storyteller.publish.delay(post_id="hello", later_step="fails")
        answer = call.get(timeout=180, propagate=False)
        endings.append([call.status, answer if call.successful() else repr(answer)])
    print(json.dumps(endings))
"""

RETRY_LOOP_IN_ONE_PROCESS = f"""
    import json
    import storyteller

    endings = []
    for attempt in range({ATTEMPTS}):
        try:
            endings.append(["SUCCESS", storyteller.publish(post_id="hello", later_step="fails")])
        except Exception as error:
            endings.append(["FAILURE", repr(error)])
    print(json.dumps(endings))
"""


def test_a_publisher_whose_later_step_fails_47_times_publishes_once(install: Install, effects: EffectServer) -> None:
    install.worker(pool="threads")

    endings = install.json_of(RETRY_LOOP_OVER_THE_QUEUE, deadline=120)

    assert effects.counts() == {"story:hello": 1}
    failed_once_and_then_nothing_ran(endings)
    assert install.explain("story:hello")["state"] == "done"


def test_a_publisher_called_directly_47_times_publishes_once(install: Install, effects: EffectServer) -> None:
    endings = install.json_of(RETRY_LOOP_IN_ONE_PROCESS, deadline=120)

    assert effects.counts() == {"story:hello": 1}
    failed_once_and_then_nothing_ran(endings)
    assert install.explain("story:hello")["state"] == "done"


def test_another_door_another_day_does_not_publish_again(install: Install, effects: EffectServer) -> None:
    install.json_of(RETRY_LOOP_IN_ONE_PROCESS, deadline=120)
    install.worker(pool="prefork", concurrency=2)

    answer = install.answer(install.call("storyteller.publish", post_id="hello", later_step="fails"))

    nothing_ran(answer)
    assert effects.counts() == {"story:hello": 1}


def failed_once_and_then_nothing_ran(endings: list[list[Any]]) -> None:
    (first, error), *others = endings
    assert first == "FAILURE"
    assert "the index could not be updated" in error
    assert [status for status, _ in others] == ["SUCCESS"] * (ATTEMPTS - 1)
    for _, answer in others:
        nothing_ran(answer)


def nothing_ran(answer: dict[str, Any]) -> None:
    """The answer is a replay, or a refusal that says at which stage."""
    if answer["ok"]:
        assert answer["replayed"], answer
        assert answer["key"] == "story:hello"
    else:
        assert answer["error"], answer
        assert answer["stage"], answer
