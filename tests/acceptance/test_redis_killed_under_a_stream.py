"""Redis goes away for a moment while calls stand between their steps: each of them ends well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from state.redis.keys import Keys
from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until

KINDS = ("plain", "mindful", "stepwise", "safe")
OF_EACH_KIND = 30
#: Seconds. Long enough that calls are caught at each step, shorter than any timeout.
STANDS_STILL = 0.6
#: Seconds between the kill and the start: what a supervisor needs.
DOWN = 4.0
NAMES = Keys("straggler")
OPEN = {None, "queued", "waiting", "claimed", "sending"}


def states(valkey: Valkey, keys: list[str]) -> Counter[str | None]:
    with valkey.client().pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hget(NAMES.key(key), "state")
        return Counter(pipe.execute())


def stopped_and_killed(valkey: Valkey) -> None:
    valkey.client().config_set("appendfsync", "always")  # the kill loses nothing, however busy the disk is
    valkey.pause()
    valkey.stay_down(STANDS_STILL)
    valkey.kill9()
    valkey.stay_down(DOWN)
    valkey.start()


def without_replicas(valkey: Valkey) -> None:
    """It answers, and refuses every write, the wait for a message among them."""
    valkey.client().config_set("min-replicas-to-write", 1)
    valkey.stay_down(DOWN)
    valkey.client().config_set("min-replicas-to-write", 0)


@pytest.mark.slow
@pytest.mark.parametrize("go_away", [stopped_and_killed, without_replicas])
@pytest.mark.timeout(180)
def test_a_redis_that_is_away_costs_no_accepted_call_its_only_attempt(
    install_on: Callable[[Valkey], Install],
    fragile_valkey: Valkey,
    effects: EffectServer,
    go_away: Callable[[Valkey], None],
) -> None:
    house = install_on(fragile_valkey)
    house.env["TASK_MODULES"] = "storyteller,straggler"
    names = [str(number) for number in range(OF_EACH_KIND)]
    house.python(f"[app.tasks['straggler.' + kind].delay(name=name) for name in {names} for kind in {KINDS}]")
    house.worker(concurrency=32)
    keys = [f"{kind}:{name}" for kind in KINDS for name in names]
    until(lambda: len(effects.counts()) >= 12, 30, "the stream to flow")

    go_away(fragile_valkey)

    until(lambda: not OPEN & set(states(fragile_valkey, keys)), 90, "every call to end")
    assert states(fragile_valkey, keys) == {"done": len(keys)}
    striking = [key for key in keys if not key.startswith("safe")]
    assert effects.counts() == dict.fromkeys([*striking, *(f"box:{name}" for name in names)], 1)
