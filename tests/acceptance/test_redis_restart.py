"""Redis goes away under busy workers and comes back; they go on, and nothing happens twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until

#: From the moment the server answers again until the workers work again.
GOES_ON_WITHIN = 10.0

#: Seconds. The Redis client tries again for more than a second before Celery hears that a connection is lost.
OUTAGE = 3.0

QUEUED = [f"queued-{number}" for number in range(12)]


@pytest.fixture
def fragile_install(install_on: Callable[[Valkey], Install], fragile_valkey: Valkey) -> Install:
    return install_on(fragile_valkey)


def keep_busy(install: Install, effects: EffectServer) -> None:
    """Four attempts at once that do not end: two inside the effect, two without an effect."""
    in_flight = ["answered-while-down", "answered-after"]
    for post_id in in_flight:
        effects.mode("delay_after:120", key=f"story:{post_id}")
    install.delay("storyteller.publish", *[{"post_id": post_id} for post_id in in_flight])
    install.delay("counter.sleepy", *[{"seconds": 600, "name": "busy"}] * 2)
    effects.wait_in_flight(2)
    until(lambda: len(install.notes("busy")) == 2, what="the worker to be busy")


def submit(install: Install) -> None:
    install.delay("storyteller.publish", *[{"post_id": post_id} for post_id in QUEUED])


def restart_while_one_is_answered(valkey: Valkey, effects: EffectServer, how: str) -> None:
    """The provider answers one attempt during the outage and the other after it."""
    valkey.end(how)
    effects.release("story:answered-while-down")
    effects.wait_in_flight(1)
    valkey.stay_down(OUTAGE)
    valkey.start()
    effects.release("story:answered-after")


def work_goes_on_and_nothing_happened_twice(install: Install, effects: EffectServer) -> None:
    until(
        lambda: all(effects.count(f"story:{post_id}") for post_id in QUEUED),
        GOES_ON_WITHIN,
        "the worker to take work again",
    )
    assert install.answer(install.call("counter.add", a=2, b=3), GOES_ON_WITHIN)["result"] == 5
    until(lambda: install.explain("story:answered-after")["state"] == "done", what="the interrupted post to be done")
    once = {f"story:{post_id}": 1 for post_id in ["answered-while-down", "answered-after", *QUEUED]}
    assert effects.counts() == once
    assert effects.arrived() == len(once)
    assert all(process.alive for process in install.processes)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("pool", "how"), [("threads", "kill9"), ("prefork", "stop")])
def test_a_busy_worker_with_a_free_hand_goes_on_after_redis_restarts(
    fragile_install: Install, fragile_valkey: Valkey, effects: EffectServer, pool: str, how: str
) -> None:
    """A worker that waits for a message while it runs others: plain Celery 5.7.0 ends here, or turns deaf."""
    fragile_install.worker(pool, concurrency=6)
    keep_busy(fragile_install, effects)

    restart_while_one_is_answered(fragile_valkey, effects, how)
    submit(fragile_install)

    work_goes_on_and_nothing_happened_twice(fragile_install, effects)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("pool", "how"), [("prefork", "kill9")])
def test_a_worker_with_its_hands_full_goes_on_after_redis_restarts(
    fragile_install: Install, fragile_valkey: Valkey, effects: EffectServer, pool: str, how: str
) -> None:
    fragile_install.worker(pool, concurrency=4)
    keep_busy(fragile_install, effects)
    submit(fragile_install)

    restart_while_one_is_answered(fragile_valkey, effects, how)

    work_goes_on_and_nothing_happened_twice(fragile_install, effects)


@pytest.mark.timeout(120)
def test_an_answer_that_comes_while_redis_is_away_is_not_forgotten(
    fragile_install: Install, fragile_valkey: Valkey, effects: EffectServer
) -> None:
    """The worker lives and knows that its effect happened: no person is needed to say so."""
    effects.mode("delay_after:120")
    fragile_install.worker()
    fragile_install.delay("storyteller.publish", {"post_id": "answered-while-down"})
    effects.wait_in_flight(1)

    fragile_valkey.kill9()
    effects.release()
    effects.wait_in_flight(0)
    fragile_valkey.stay_down(OUTAGE)
    fragile_valkey.start()

    until(
        lambda: fragile_install.explain("story:answered-while-down")["state"] == "done",
        GOES_ON_WITHIN,
        "the known outcome to be recorded",
    )
    assert effects.counts() == {"story:answered-while-down": 1}
