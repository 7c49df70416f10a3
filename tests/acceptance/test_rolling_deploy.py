"""SIGTERM and deploys: what runs is finished or handed back within the grace, and nothing is lost or sent twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

import pytest

from tests.effects.client import EffectServer
from tests.harness import Install, Process, until

pytestmark = pytest.mark.slow

POOLS = [("threads", 4), ("prefork", 2)]

#: What a supervisor gives a process that stops, before it kills it.
GRACE = 8.0

#: Until what a worker left behind has ended: a free lock file is noticed by the next sweep of another worker.
RECOVERY = 60.0


@pytest.fixture
def softly(install: Install) -> Install:
    """Workers take SIGTERM as the Procfile says."""
    install.env["REMAP_SIGTERM"] = "SIGQUIT"
    return install


def stop(worker: Process) -> None:
    """As a supervisor does it: ask, wait, kill."""
    try:
        worker.terminate(GRACE)
    except AssertionError:
        worker.kill9()


def state_of(install: Install, key: str) -> str:
    return str(install.explain(key)["state"])


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_an_effect_that_ends_within_the_grace_is_done_and_its_worker_ends_well(
    softly: Install, effects: EffectServer, pool: str, concurrency: int
) -> None:
    effects.mode("delay_after:120")
    worker = softly.worker(pool, concurrency)
    softly.delay("storyteller.publish", {"post_id": "quick"})
    effects.wait_in_flight(1)

    worker.ask_to_stop()
    effects.release()
    worker.wait(GRACE)

    assert state_of(softly, "story:quick") == "done"
    assert effects.counts() == {"story:quick": 1}


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_an_attempt_before_the_effect_that_outlasts_the_grace_is_run_by_another_worker(
    softly: Install, effects: EffectServer, pool: str, concurrency: int
) -> None:
    worker = softly.worker(pool, concurrency)
    [call] = softly.delay("storyteller.publish_carefully", {"post_id": "handed-back"})
    until((softly.notes_dir / "careful-handed-back").exists, what="the first attempt to begin")

    stop(worker)
    softly.worker(pool, concurrency)

    until(lambda: state_of(softly, "careful:handed-back") == "done", RECOVERY, "the other worker's attempt")
    assert softly.answer(call)["ok"]
    assert effects.counts() == {"careful:handed-back": 1}


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_an_effect_inside_the_effect_that_outlasts_the_grace_is_never_sent_again(
    softly: Install, effects: EffectServer, pool: str, concurrency: int
) -> None:
    effects.mode("delay_after:120")
    worker = softly.worker(pool, concurrency)
    softly.delay("storyteller.publish", {"post_id": "slow"})
    effects.wait_in_flight(1)

    stop(worker)
    effects.mode("ok")
    effects.release()
    softly.worker(pool, concurrency)

    until(lambda: state_of(softly, "story:slow") in {"unknown", "done"}, RECOVERY, "the key to stand somewhere")
    again = softly.answer(softly.call("storyteller.publish", post_id="slow"))
    assert not again["ok"] or again["replayed"]
    assert effects.arrived("story:slow") == 1


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_being_asked_to_stop_again_and_again_is_no_poison(softly: Install, pool: str, concurrency: int) -> None:
    """A deploy after another finds the same long attempt at work; three lost workers would hold its call."""
    [call] = softly.delay("counter.sleepy", {"seconds": 12})
    for number in range(1, 4):
        worker = softly.worker(pool, concurrency)
        until(lambda number=number: len(softly.notes("sleepy")) == number, 30, "an attempt")  # type: ignore[misc]
        stop(worker)

    softly.worker(pool, concurrency)

    assert softly.answer(call, RECOVERY)["ok"]
    assert len(softly.notes("sleepy")) == 4


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_a_worker_is_gone_within_its_grace_whatever_runs(softly: Install, pool: str, concurrency: int) -> None:
    worker = softly.worker(pool, concurrency)
    softly.delay("counter.sleepy", *[{"seconds": 600}] * 2)
    until(lambda: len(softly.notes("sleepy")) == 2, what="both attempts to begin")

    assert worker.terminate(GRACE) == 0
    assert "Traceback" not in worker.output
    assert not [line for line in worker.lines if line["level"] == "critical"]


# A rolling deploy


class Traffic:
    """Effect calls in a steady flow, until it is closed."""

    def __init__(self, install: Install) -> None:
        self._install = install
        self._goes_on = threading.Event()
        self._goes_on.set()
        self.calls: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for number in count():
            if not self._goes_on.is_set():
                return
            posts = [f"{number}-{each}" for each in range(20)]
            ids = self._install.delay("storyteller.publish", *[{"post_id": post} for post in posts])
            self.calls |= dict(zip(posts, ids, strict=True))

    def close(self) -> None:
        self._goes_on.clear()
        self._thread.join(60)


@pytest.fixture
def traffic(softly: Install) -> Iterator[Traffic]:
    made = Traffic(softly)
    yield made
    made.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("pool", "concurrency"), POOLS)
def test_a_rolling_deploy_of_two_workers_under_load_loses_nothing_and_sends_nothing_twice(
    softly: Install, effects: EffectServer, traffic: Traffic, pool: str, concurrency: int
) -> None:
    effects.mode("delay:0.3")
    running = softly.workers(2, pool, concurrency)
    for _ in range(6):
        until(effects.waiting, what="effects on their way")
        running.append(softly.worker(pool, concurrency))
        stop(running.pop(0))
    until(lambda: len(traffic.calls) >= 100, 60, "a hundred calls")
    traffic.close()

    calls = traffic.calls
    # A message that was sent again may be answered before its call has ended.
    until(lambda: ended(softly, calls), RECOVERY, "every call to end")
    assert {post: state for post, call in calls.items() if (state := state_of_call(softly, call)) != "done"} == {}
    assert effects.counts() == {f"story:{post}": 1 for post in calls}
    assert effects.arrived() == len(calls)


def ended(install: Install, calls: dict[str, str]) -> bool:
    return {state_of_call(install, call) for call in calls.values()} <= {"done", "rejected", "cancelled"}


def state_of_call(install: Install, call: str) -> str:
    return str(install._redis.hget(f"gate:{{storyteller}}:call:{call}", "state"))
