"""`gate drill`: injects faults on this machine and counts their effects."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import click

import settings
from gatekeeper.policies.spec import registered
from server_urls import redis_url
from server_urls.broker_url import is_amqp
from state import health
from workers.commands.output import Failed, command, plain, say, show
from workers.drill.sandbox import Sandbox, opened
from workers.drill.worker_pool import last_line

#: Seconds after which a drill is killed, unless `--within` says otherwise. It gives up by itself before.
WITHIN = 60.0
#: Seconds that the faults take on an idle machine, rounded down; a drill cannot be shorter.
MIN_WITHIN = 20.0
#: Seconds that the kernel may take to remove killed processes.
EXIT_SECONDS = 5.0
#: Seconds between two looks at them.
POLL_INTERVAL = 0.02
#: The file in the sandbox that gets what the runner logs.
RUNNER_LOG = "runner.log"


@command("drill", "drill", "drill tasks.publisher.publish --within 120")
@click.argument("task", required=False)
@click.option(
    "--within", type=click.FloatRange(MIN_WITHIN), default=WITHIN, show_default=True, metavar="SECONDS",
    help="Give up after so long; a slow or busy machine needs more.",
)  # fmt: skip
def drill(task: str | None, within: float, *, json_: bool) -> None:
    """Kill, double and redeliver in a sandbox. Each line must say `effects: 1`. With TASK: its own policies."""
    _check(task)
    rows = []
    with closing(_rows(task, within)) as coming:
        for row in coming:
            rows.append(row)
            if not json_:
                say(_line(plain(row)))
    passed = all(row["ok"] for row in rows)
    show(json_, rows, _verdict(rows))
    if not passed:
        raise click.exceptions.Exit(1)


def _check(task: str | None) -> None:
    health.ping_ms()
    chosen = settings.current()
    if is_amqp(chosen.broker_url) and redis_url.read(chosen.redis_url).nodes:
        raise Failed(
            "a drill sends its messages through Redis, and a cluster cannot carry them; drill with a BROKER_URL of Redis"
        )
    spec = registered().get(task) if task else None
    if task and spec is None:
        effects = sorted(name for name, spec in registered().items() if spec.effect)
        raise Failed(f"there is no task {task!r}; those with an effect are: {', '.join(effects) or 'none'}")
    if spec and not spec.effect:
        raise Failed(f"{task} has no effect, so there is nothing that could happen twice; name a task that has one")


def _rows(task: str | None, within: float) -> Generator[dict[str, Any]]:
    """Yield each line of the drill as it comes; when this ends, the sandbox is cleared."""
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        with opened(settings.current().run_dir) as (sandbox, lock), _running(sandbox, lock, task, within) as process:
            yield from _read_rows(process)
            if process.wait():
                raise Failed(f"the drill ended with {process.returncode}: {last_line(sandbox.folder / RUNNER_LOG)}")
    except OSError as error:
        raise Failed(f"the drill needs a folder in STATE_DIR, and cannot use one: {error}") from None
    finally:
        signal.signal(signal.SIGINT, interrupt)


def _read_rows(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout  # noqa: S101 - a pipe
    for line in process.stdout:
        row: dict[str, Any] = json.loads(line)
        if "failed" in row:
            raise Failed(f"the drill could not go on: {row['failed']}")
        yield row


@contextmanager
def _running(sandbox: Sandbox, lock: int, task: str | None, within: float) -> Iterator[subprocess.Popen[str]]:
    """Run the drill in a process group of its own, with its workers; afterwards all of them are dead."""
    config = json.dumps({"folder": str(sandbox.folder), "task": task, "within": within})
    with (sandbox.folder / RUNNER_LOG).open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "workers.drill.runner", config],
            cwd=settings.ROOT, env=sandbox.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            text=True, start_new_session=True, pass_fds=(lock,),
        )  # fmt: skip
    limit = threading.Timer(within, _kill, (process,))
    limit.start()
    try:
        yield process
    finally:
        # A second Ctrl-C must not interrupt the cleanup.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        limit.cancel()
        _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + EXIT_SECONDS
    with suppress(OSError):  # the group is gone
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(POLL_INTERVAL)


def _line(row: dict[str, Any]) -> str:
    return f"{row['fault']:<48}effects: {row['effects']}   {row['how']:<48}{row['seconds']:>5.1f} s".rstrip()


def _verdict(rows: list[dict[str, Any]]) -> str:
    wrong = [row["fault"] for row in rows if not row["ok"]]
    return f"NOT as promised: {', '.join(wrong)}" if wrong else "one effect each, and nothing is left behind"


commands = (drill,)
