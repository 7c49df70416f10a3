"""A worker that answers pings and consumes nothing is started again; one that is only busy, or waits for Redis, is not."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.effects.client import EffectServer
from tests.harness import Install, Process, Valkey, until

pytestmark = pytest.mark.slow

#: Runs `celery` with probes in quick succession; a worker that misses three in a row is deaf after a second.
DRIVER = """
import sys
import workers.queue_probe
workers.queue_probe.EVERY = 0.25
from celery.__main__ import main
sys.argv[0] = "celery"
main()
"""

#: From the moment a worker turns deaf until its successor works: four looks, a stop, a pause and a start.
NOTICED_WITHIN = 30.0


@pytest.fixture
def quick(install: Install) -> Install:
    return with_quick_probes(install)


def with_quick_probes(install: Install) -> Install:
    (install.folder / "driver.py").write_text(DRIVER)
    return install


def worker_command(install: Install, *more: str, concurrency: int = 2) -> list[str]:
    options = ["--pool", "threads", "--concurrency", str(concurrency), "--without-mingle", "--without-gossip", *more]
    return [sys.executable, str(install.folder / "driver.py"), "-A", "workers", "--quiet", "worker", *options]


def up(install: Install, *more: str, concurrency: int = 2) -> Process:
    """`make up` with one worker and nothing else."""
    line = " ".join(worker_command(install, *more, concurrency=concurrency))
    path: Path = install.folder / "Procfile"
    path.write_text(f"worker: env REMAP_SIGTERM=SIGQUIT {line}\n")
    started = install.start("up", [sys.executable, "-m", "deploy.up", "--procfile", str(path)])
    started.wait_for("worker ready", 30)
    return started


def worker(install: Install, name: str, *more: str) -> Process:
    started = install.start("worker", worker_command(install, "--hostname", f"{name}@%h", *more))
    started.wait_for("worker ready", 30)
    return started


def make_deaf(install: Install, name: str = "celery", queue: str = "celery") -> None:
    destination = f"{name}@{os.uname().nodename}"
    done = install.celery("control", "--destination", destination, "cancel_consumer", queue)
    assert done.returncode == 0, done.stdout + done.stderr


def answers_pings(install: Install) -> bool:
    return "pong" in install.celery("inspect", "ping").stdout


def starts(process: Process) -> int:
    return len(process.events("worker ready"))


def was_started_again(supervisor: Process) -> None:
    """Once: its successor may work already when the supervisor passes on what it logged."""
    until(lambda: starts(supervisor) > 1, NOTICED_WITHIN, "the worker to be started again")
    assert starts(supervisor) == 2


@pytest.mark.timeout(120)
def test_a_worker_that_answers_pings_and_consumes_nothing_is_started_again_and_work_goes_on(quick: Install) -> None:
    supervisor = up(quick)
    before = quick.call("counter.add", a=1, b=1)
    assert quick.answer(before)["result"] == 2

    make_deaf(quick)
    [call] = quick.delay("counter.add", {"a": 2, "b": 3})

    assert quick.answer(call, NOTICED_WITHIN)["result"] == 5
    [told] = supervisor.events("worker deaf")
    assert (told["level"], told["queue"]) == ("error", "celery")
    was_started_again(supervisor)
    assert supervisor.alive
    assert answers_pings(quick)


def test_a_ping_alone_would_not_have_found_it(install: Install) -> None:
    install.worker()
    assert install.celery("control", "cancel_consumer", "celery").returncode == 0

    [call] = install.delay("counter.add", {"a": 2, "b": 3})

    assert answers_pings(install)
    assert install.explain(call)["state"] == "queued"


@pytest.mark.timeout(120)
def test_one_of_several_queues_that_is_not_consumed_is_noticed(quick: Install) -> None:
    supervisor = up(quick, "--queues", "celery,other")

    make_deaf(quick, queue="other")

    assert supervisor.wait_for("worker deaf", NOTICED_WITHIN)["queue"] == "other"
    was_started_again(supervisor)


@pytest.mark.timeout(120)
def test_a_worker_whose_hands_are_full_is_left_alone(quick: Install) -> None:
    supervisor = up(quick)

    calls = quick.delay("counter.sleepy", *[{"seconds": 4}] * 4)

    assert [meta["status"] for meta in quick.results(calls, 30)] == ["SUCCESS"] * 4
    assert starts(supervisor) == 1
    assert not supervisor.events("worker deaf")


@pytest.mark.timeout(120)
def test_a_worker_with_one_long_attempt_and_a_free_hand_is_left_alone(quick: Install) -> None:
    supervisor = up(quick)

    [call] = quick.delay("counter.sleepy", {"seconds": 6})

    assert quick.answer(call, 30)["ok"]
    assert starts(supervisor) == 1


@pytest.mark.timeout(120)
def test_a_backlog_that_is_worked_off_is_a_sign_of_life(quick: Install) -> None:
    calls = quick.delay("counter.sleepy", *[{"seconds": 0.3}] * 40)
    supervisor = up(quick)

    quick.results(calls, 40)

    assert starts(supervisor) == 1
    assert not supervisor.events("worker deaf")


@pytest.mark.timeout(120)
def test_a_deaf_worker_lets_its_attempts_end_first(quick: Install, effects: EffectServer) -> None:
    effects.mode("delay_after:120")
    supervisor = up(quick, "--loglevel", "warning")
    quick.delay("storyteller.publish", {"post_id": "slow"})
    effects.wait_in_flight(1)

    make_deaf(quick)
    until(lambda: supervisor.events("worker deaf"), NOTICED_WITHIN, "the worker to notice that it is deaf")
    effects.release()  # at once: from now on the worker's grace period runs
    [call] = quick.delay("counter.add", {"a": 2, "b": 3})

    assert quick.answer(call, NOTICED_WITHIN)["result"] == 5
    assert quick.explain("story:slow")["state"] == "done"
    assert effects.counts() == {"story:slow": 1}
    was_started_again(supervisor)


@pytest.mark.timeout(120)
def test_a_deaf_worker_that_cannot_even_stop_is_ended(quick: Install) -> None:
    supervisor = up(quick)
    quick.delay("counter.sleepy", {"seconds": 600})
    until(lambda: quick.notes("sleepy"), what="the attempt that does not end")

    make_deaf(quick)
    [call] = quick.delay("counter.add", {"a": 2, "b": 3})

    assert quick.answer(call, NOTICED_WITHIN)["result"] == 5
    was_started_again(supervisor)


@pytest.mark.timeout(120)
def test_a_worker_that_waits_for_redis_is_left_alone(
    install_on: Callable[[Valkey], Install], fragile_valkey: Valkey
) -> None:
    install = with_quick_probes(install_on(fragile_valkey))
    supervisor = up(install)

    fragile_valkey.restart("kill9", down_for=5)

    assert install.answer(install.call("counter.add", a=2, b=3), 20)["result"] == 5
    assert starts(supervisor) == 1
    assert not supervisor.events("worker deaf")


@pytest.mark.timeout(120)
def test_a_worker_whose_redis_does_not_answer_for_a_while_is_left_alone(
    install_on: Callable[[Valkey], Install], fragile_valkey: Valkey
) -> None:
    install = with_quick_probes(install_on(fragile_valkey))
    supervisor = up(install)

    fragile_valkey.pause()
    fragile_valkey.stay_down(5)
    fragile_valkey.resume()

    assert install.answer(install.call("counter.add", a=2, b=3), 40)["result"] == 5
    assert starts(supervisor) == 1


@pytest.mark.timeout(120)
def test_a_queue_that_is_emptied_by_hand_is_not_the_workers_fault(quick: Install, valkey: Valkey) -> None:
    supervisor = up(quick)

    for _ in range(3):
        valkey.client().delete("celery")
    [call] = quick.delay("counter.sleepy", {"seconds": 3})

    assert quick.answer(call, 30)["ok"]
    assert starts(supervisor) == 1


@pytest.mark.timeout(120)
def test_of_several_workers_at_one_queue_only_the_deaf_one_ends(quick: Install) -> None:
    workers = [worker(quick, name) for name in ("one", "two", "three")]
    calls = quick.delay("counter.sleepy", *[{"seconds": 0.1}] * 3)
    quick.results(calls, 30)

    make_deaf(quick, "two")

    workers[1].wait(NOTICED_WITHIN)
    assert workers[1].events("worker deaf")
    [call] = quick.delay("counter.sleepy", {"seconds": 3})
    assert quick.answer(call, 30)["ok"]
    assert [each.alive for each in workers] == [True, False, True]


def test_a_probe_of_another_worker_is_passed_on_a_limited_number_of_times(quick: Install, valkey: Valkey) -> None:
    """Otherwise other workers could take every probe of a worker before it does."""
    quick.python(
        """
        from workers import queue_probe
        queue_probe.probe.run("celery", queue_probe.SELF, 0)
        queue_probe.probe.run("celery", "another", queue_probe.MAX_HOPS)
        queue_probe.probe.run("celery", "another", 7)
        """
    )

    [message] = valkey.client().lrange("celery", 0, -1)
    assert json.loads(b64decode(json.loads(message)["body"]))[0] == ["celery", "another", 8]


def test_probes_leave_nothing_in_redis_and_are_not_shown(quick: Install, valkey: Valkey) -> None:
    store = valkey.client()
    store.config_resetstat()
    worker(quick, "one")
    until(lambda: store.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0) >= 5, 30, "a few probes")

    assert store.llen("celery") <= 1
    assert not store.keys("celery-task-meta-*")
    until(lambda: not store.hlen("unacked"), what="every probe to be acknowledged")
    assert "gatehouse" not in str(quick.gate("status"))
