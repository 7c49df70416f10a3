"""Doors through which the same thing comes many times: beats, webhooks, races, retries; and deploys under way."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from state.redis.keys import Keys
from tests import senders
from tests.harness import Process, until
from tests.harness.install import http_status
from tests.torture.arena import Arena
from tests.torture.build import Build
from tests.torture.faults.redis import HALF, hold_both
from tests.torture.house import ready, terminate, wait_dead
from tests.torture.producer import AGENT
from tests.torture.scenario import fault

TABLES = Path(__file__).resolve().parents[1] / "tables"
SECRET = "It's-a-secret"


def beat(arena: Arena) -> Process:
    """A beat with the table of the torture."""
    table = str(TABLES / "beat_schedule.py")
    celery = ["-A", "workers", "--quiet", "beat", "--loglevel", "warning"]
    return arena.house.start("beat", [sys.executable, "-m", "tests.torture.beat", table, *celery])


@fault("F25", "two beats, one killed as it catches up and started again", short=1, long=5, epilogue=False)
def two_beats(arena: Arena, rounds: int) -> None:
    arena.house.hire()
    for _ in range(rounds):
        missed = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=20)
        arena.producer.run(
            """
            from datetime import datetime
            from state.ledger import schedule_runs as ticks
            ticks.remember("torturer", "each", datetime.fromisoformat(since))
            """,
            since=missed.isoformat(),
        )
        first, second = beat(arena), beat(arena)
        until(lambda: arena.judge.count() > 0, 30, "the first tick to run")
        arena.hit()
        first.kill9()
        third = beat(arena)
        # Those that were missed; that of this very minute is skipped while they run, as its entry says.
        expected = [f"tick:each:{missed + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}" for n in range(1, 20)]
        arena.producer.note(expected)
        until(lambda ticks=expected: set(ticks) <= set(arena.judge.counts()), 30, "every slot to have run")  # type: ignore[misc]
        arena.watch.mark()
        arena.last(2)
        for process in (second, third):
            process.kill9()
        until(lambda: _no_call_is_open(arena), 30, "the ticks that were started to have run")
        arena.producer.note(key for key in arena.judge.counts() if key.startswith("tick:"))
        arena.rest()
        arena.valkey.client().delete(Keys(AGENT).ticks)


def _no_call_is_open(arena: Arena) -> bool:
    names = Keys(AGENT)
    return not any(arena.watch.client.zcard(name) for name in (names.queued, names.waiting, names.running))


@fault("F26", "each webhook comes a hundred times at once, among forged and changed ones", short=1, long=5,
       env={"WEBHOOK_SECRET_TORTURE": SECRET})  # fmt: skip
def webhook_storm(arena: Arena, rounds: int) -> None:
    options = ["--app-dir", str(TABLES), "--port", str(arena.house.web_port), "--log-level", "warning"]
    arena.house.start("web", [sys.executable, "-m", "uvicorn", "web.app:app", *options])
    arena.house.hire()
    until(lambda: http_status(f"{arena.house.web_url}/healthz") == 200, 30, "the web process")
    url = f"{arena.house.web_url}/hooks/torture"
    for _ in range(rounds):
        names = arena.producer.names(5)
        arena.producer.write_down("strike", names)

        def deliver(name: str, kind: int) -> int:
            body = json.dumps({"kind": "strike", "n": name if kind else f"{name}-changed"}).encode()
            secret = SECRET if kind != 1 else "a guess"
            signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            headers = {"Content-Type": "application/json", "X-Hub-Signature-256": signature}
            headers["X-GitHub-Delivery"] = f"d-{name}"
            # A machine with more to do than it can answers 503, and nothing was accepted: a sender comes again.
            statuses = (senders.send(url, body, headers).status for _ in range(20))
            return next((status for status in statuses if status != 503), 503)

        for name in names:  # the true one first, so that a changed one is known as such
            arena.check("the first is accepted", deliver(name, 2) == 202)
        kinds = [min(n % 10, 2) for n in range(100)]
        with ThreadPoolExecutor(50) as pool:
            sent = [pool.submit(deliver, name, kind) for kind in kinds for name in names]
            found = Counter(done.result() for done in sent)
        arena.hit()
        arena.watch.mark()
        arena.check(f"no answer but 200, 401, 422: {found}", set(found) == {200, 401, 422})
        arena.rest()


@fault("F27", "32 workers want the same key", short=1, long=6)
def same_key_race(arena: Arena, rounds: int) -> None:
    arena.house.hire(2, concurrency=16)
    arena.house.hire(2, pool="prefork", concurrency=4)
    arena.judge.mode("delay_after:0.2")
    for _ in range(rounds):
        for task in ("strike", "sure"):
            names = arena.producer.names(8)
            arena.producer.ask_for(task, [name for name in names for _ in range(32)])
            arena.hit()
        arena.watch.mark()
        arena.rest()


@fault("F28", "a retry loop with a text that is another one each time", short=1, long=6)
def reworded_retries(arena: Arena, rounds: int) -> None:
    arena.house.hire()
    for _ in range(rounds):
        for mode in ("refuse:429", "refuse:503"):
            arena.judge.mode(mode, for_next=3 * HALF)
            keys = arena.ask(HALF, "sure")
            arena.wait_asked(keys)
            arena.hit(keys=keys)
            arena.watch.mark()
            arena.rest(90)


@fault(
    "F30", "a rolling deploy of two versions, by SIGTERM and, when it takes long, SIGKILL", short=2, long=14, limit=90
)
def rolling_deploy(arena: Arena, rounds: int) -> None:
    with Build(arena.house.root, "other-version") as other:
        other.touch_scripts()
        [old] = arena.house.hire()
        for number in range(rounds):
            hold_both(arena)
            new = arena.house.begin_worker(root=other.folder if number % 2 == 0 else arena.house.root)
            terminate(old)
            with arena.fault(old):
                arena.last(arena.random.uniform(0, 1))
                if arena.random.random() < 0.5:
                    arena.let_go()
                if arena.random.random() < 0.3:
                    old.kill9()
            arena.let_go() if arena.random.random() < 0.7 else None
            wait_dead(old, 30)
            arena.let_go()
            [old] = ready(new)
            arena.rest(90)
