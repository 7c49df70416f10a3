"""Redis goes away under busy workers and comes back; they go on, and nothing happens twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until

#: From the moment the server answers again until the workers work again.
GOES_ON_WITHIN = 10.0

#: The client library tries again for more than a second before Celery hears of an outage, so this long is needed to
#: see a worker lose its connection (plain Celery 5.7.0 dies of that); a shorter outage must do no harm either.
NOTICED, MASKED = 5.0, 0.0

#: How long a call that was in the middle of things may take to be told apart from a lost one.
RECOVERY = 60.0

QUEUED = 12


@pytest.fixture
def fragile_install(install_on: Callable[[Valkey], Install], fragile_valkey: Valkey) -> Install:
    return install_on(fragile_valkey)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("pool", "how", "outage"),
    [
        ("threads", "stop", NOTICED),
        ("threads", "kill9", NOTICED),
        ("prefork", "stop", NOTICED),
        ("prefork", "kill9", NOTICED),
        ("threads", "kill9", MASKED),
    ],
)
def test_busy_workers_go_on_after_redis_restarts(
    fragile_install: Install, fragile_valkey: Valkey, effects: EffectServer, pool: str, how: str, outage: float
) -> None:
    install, valkey = fragile_install, fragile_valkey
    worker = install.worker(pool, concurrency=4)
    in_flight = ["answered-while-down", "answered-after"]
    for post_id in in_flight:
        effects.mode("delay_after:120", key=f"story:{post_id}")
    install.delay("storyteller.publish", *[{"post_id": post_id} for post_id in in_flight])
    effects.wait_in_flight(2)
    install.delay("counter.sleepy", {"seconds": 600, "name": "busy"}, {"seconds": 600, "name": "busy"})
    until(lambda: len(install.notes("busy")) == 2, what="the worker to have its hands full")
    queued = [f"queued-{number}" for number in range(QUEUED)]
    install.delay("storyteller.publish", *[{"post_id": post_id} for post_id in queued])

    valkey.end(how)
    effects.release("story:answered-while-down")
    effects.wait_in_flight(1)
    valkey.stay_down(outage)
    valkey.start()
    effects.release("story:answered-after")

    until(lambda: all(effects.count(f"story:{post_id}") for post_id in queued), GOES_ON_WITHIN, "the queued posts")
    assert install.answer(install.call("counter.add", a=2, b=3), GOES_ON_WITHIN)["result"] == 5
    assert worker.alive
    until(lambda: all(has_ended(install, post_id) for post_id in in_flight), RECOVERY, "the interrupted posts to end")
    assert effects.counts() == {f"story:{post_id}": 1 for post_id in [*in_flight, *queued]}
    assert effects.arrived() == len(in_flight) + QUEUED


def has_ended(install: Install, post_id: str) -> bool:
    """Whether a post whose attempt lost its server is known to be out, or stands visibly unknown."""
    return install.explain(f"story:{post_id}")["state"] in {"done", "unknown"}
