"""RabbitMQ dies, or falls silent, under busy workers and comes back: nothing happens twice, and nothing is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from state.redis.keys import Keys
from tests.conftest import a_rabbitmq
from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until
from tests.harness.process import Process
from tests.harness.rabbitmq import RabbitMQ
from workers.rabbitmq.config import CONFIRM_TIMEOUT, CONNECT_TIMEOUT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

NAMES = Keys("straggler")
KINDS = ("plain", "mindful", "stepwise", "safe")
OF_EACH_KIND = 30
#: Seconds between the kill and the start: what a supervisor needs.
DOWN = 2.0
OPEN = {None, "queued", "waiting", "claimed", "sending"}
#: Seconds within which a call has to return while RabbitMQ is silent: two tries to send, and one to connect between them.
PATIENCE = 2 * CONFIRM_TIMEOUT + CONNECT_TIMEOUT + 2


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitMQ]:
    server = a_rabbitmq()
    yield server
    server.close()


@pytest.fixture
def rabbitmq(node: RabbitMQ) -> Iterator[RabbitMQ]:
    """The module's node, empty, and awake after the test."""
    node.purge()
    yield node
    node.resume()


@pytest.fixture
def house(install_on: Callable[[Valkey], Install], valkey: Valkey, rabbitmq: RabbitMQ) -> Install:
    made = install_on(valkey)
    made.env |= {"TASK_MODULES": "storyteller,straggler,counter", "BROKER_URL": rabbitmq.url}
    return made


def states(valkey: Valkey, keys: list[str]) -> Counter[str | None]:
    with valkey.client().pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hget(NAMES.key(key), "state")
        return Counter(pipe.execute())


def killed(rabbitmq: RabbitMQ, worker: Process) -> None:
    rabbitmq.kill9()
    time.sleep(DOWN)
    rabbitmq.start()


def silent(rabbitmq: RabbitMQ, worker: Process) -> None:
    """It accepts what is sent, and answers nothing, until the worker has given its connections up."""
    rabbitmq.pause()
    until(lambda: "NotConfirmed" in worker.output, 10, "the worker to notice")
    rabbitmq.resume()


@pytest.mark.parametrize(("pool", "go_away"), [("threads", killed), ("prefork", silent), ("threads", silent)])
def test_a_rabbitmq_that_is_away_costs_no_call_and_doubles_no_effect(
    house: Install,
    valkey: Valkey,
    rabbitmq: RabbitMQ,
    effects: EffectServer,
    pool: str,
    go_away: Callable[[RabbitMQ, Process], None],
) -> None:
    names = [str(number) for number in range(OF_EACH_KIND)]
    house.python(f"[app.tasks['straggler.' + kind].delay(name=name) for name in {names} for kind in {KINDS}]")
    worker = house.worker(pool, concurrency=8)
    keys = [f"{kind}:{name}" for kind in KINDS for name in names]
    until(lambda: len(effects.counts()) >= 12, 30, "the stream to flow")

    go_away(rabbitmq, worker)

    until(lambda: not OPEN & set(states(valkey, keys)), 90, "every call to end")
    assert states(valkey, keys) == {"done": len(keys)}
    striking = [key for key in keys if not key.startswith("safe")]
    assert effects.counts() == dict.fromkeys([*striking, *(f"box:{name}" for name in names)], 1)
    assert worker.alive


def test_a_call_returns_while_rabbitmq_is_silent_and_runs_later(
    house: Install, valkey: Valkey, rabbitmq: RabbitMQ, effects: EffectServer
) -> None:
    house.worker(concurrency=2)
    rabbitmq.pause()

    [[first, took], [second, then]] = house.json_of("""
        import json, time
        answer = []
        for name in ("unheard", "too"):
            began = time.monotonic()
            call = app.tasks["storyteller.publish"].delay(post_id=name).id
            answer.append([call, time.monotonic() - began])
        print(json.dumps(answer))
    """)
    rabbitmq.resume()

    assert took < PATIENCE
    assert then < took / 4, "the next call waits for the same silence"
    assert [house.answer(call, 30)["ok"] for call in (first, second)] == [True, True]
    assert effects.counts() == {"story:unheard": 1, "story:too": 1}
