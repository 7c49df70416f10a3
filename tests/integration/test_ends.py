"""Every end of an attempt settles, frees its slot, and leaves an answer that Celery can store: whatever is raised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from state.redis.keys import Keys
from tests.agents.raiser import ENDS
from tests.conftest import a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.shell import Shell

HOWS = sorted(ENDS)
N = Keys("raiser")


@pytest.fixture(scope="module", params=["threads", "prefork"])
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, effect_server: EffectServer
) -> Iterator[Install]:
    """One worker with two slots, which the ends of one test would fill many times over."""
    effect_server.clear()
    server = a_valkey()
    made = Install(
        tmp_path_factory.mktemp("house"),
        server.url,
        task_modules=["raiser"],
        env={"EFFECTS_URL": effect_server.base_url},
    )
    made.worker(request.param, concurrency=2)
    yield made
    made.close()
    server.close()


@pytest.fixture
def ended(house: Install, shell: Shell, store: redis.Redis) -> Callable[[str], dict[str, dict[str, str]]]:
    """Run a task once for every end; answers how each key stands when all are over."""

    def run(task: str) -> dict[str, dict[str, str]]:
        calls = dict(zip(HOWS, shell.delay(f"raiser.{task}", *({"how": how} for how in HOWS)), strict=True))
        metas = dict(zip(HOWS, house.results(list(calls.values())), strict=True))
        until(lambda: not store.zcard(N.running) and not store.zcard(N.queued), 10, "all to be settled")
        until(lambda: not store.hlen("unacked"), 10, "the broker to be told that every message is over")
        keys = {how: store.hget(N.call(call), "key") for how, call in calls.items()}
        answers = shell.run(
            "answer = {how: repr(app.AsyncResult(call).result)[:9000] for how, call in calls.items()}", calls=calls
        )
        return {
            how: {**store.hgetall(N.key(str(keys[how]))), "status": metas[how]["status"], "said": answers[how]}
            for how in HOWS
        }

    return run


def assert_alive(house: Install, shell: Shell, first: int) -> None:
    """Both slots take calls, and the worker is the one that was started."""
    calls = shell.delay("raiser.fine", *({"n": n} for n in range(first, first + 6)))
    assert [house.answer(call)["result"] for call in calls] == list(range(first, first + 6))
    assert house.processes[0].alive


Ended = Callable[[str], dict[str, dict[str, str]]]


def test_a_task_may_end_in_any_way_before_its_line(house: Install, shell: Shell, ended: Ended) -> None:
    stands = ended("end")

    assert {how: kept["state"] for how, kept in stands.items()} == dict.fromkeys(HOWS, "rejected")
    failed = dict.fromkeys(HOWS, "FAILURE") | {"a mute refusal": "SUCCESS"}  # a refusal is an answer
    assert {how: kept["status"] for how, kept in stands.items()} == failed
    assert max(len(kept["said"]) for kept in stands.values()) < 9000
    assert_alive(house, shell, 10)


def test_a_task_may_end_in_any_way_behind_its_line(
    house: Install, shell: Shell, ended: Ended, effect_server: EffectServer
) -> None:
    stands = ended("end_behind")

    assert {how: kept["state"] for how, kept in stands.items()} == dict.fromkeys(HOWS, "unknown")
    assert {how: effect_server.counts().get(f"behind:{how}") for how in HOWS} == dict.fromkeys(HOWS, 1)
    assert_alive(house, shell, 20)


@pytest.mark.parametrize(
    ("task", "state"),
    [
        ("end_in_verify", "unknown"),
        ("end_in_then", "done"),
        ("end_in_undo", "done"),
        ("end_in_output", "done"),
    ],
)
def test_what_follows_the_effect_may_end_in_any_way(
    house: Install, shell: Shell, ended: Ended, task: str, state: str
) -> None:
    stands = ended(task)

    assert {how: kept["state"] for how, kept in stands.items()} == dict.fromkeys(HOWS, state)
    assert_alive(house, shell, 30 + 10 * len(task))


def test_the_story_names_the_end_whatever_it_says_of_itself(house: Install, shell: Shell) -> None:
    call = shell.delay("raiser.end_behind", {"how": "no text"})[0]
    house.result(call)

    told: list[dict[str, Any]] = house.explain("behind:no text")["story"]

    assert any("Mute" in str(event.get("error", "")) for event in told), told


def test_ctrl_c_in_a_direct_call_settles_and_stays_a_ctrl_c(house: Install, shell: Shell, store: redis.Redis) -> None:
    caught = shell.run(
        """
        import raiser
        raiser.ENDS["by hand"] = KeyboardInterrupt
        try:
            raiser.end("by hand")
        except BaseException as error:
            answer = type(error).__name__
        """
    )

    assert caught == "KeyboardInterrupt"
    assert store.hget(N.key("end:by hand"), "state") == "rejected"
