"""Stopping: a worker that is asked to end says so at once, and has ended within its grace, whatever still runs.

Celery waits, and then takes back what is left; it does not say that this process is about to end before it has, and
it waits for a thread that does not end, or lets a task of a pool child fail that only had to make way.
"""

from __future__ import annotations

import mmap
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.concurrency.base import BasePool
from celery.signals import task_prerun, worker_ready

from state.ledger import owner
from workers.config import GRACE

#: Seconds after the grace in which Celery hands back what is left and closes its connections; `make up` kills at 8.
LAST_SECONDS = 2.0

#: Between two looks at whether Celery ended its own wait.
LOOK_AGAIN_SECONDS = 0.5

SIGNALS = (signal.SIGTERM, signal.SIGQUIT)

#: Whether the worker was asked to stop, for it and for the children of its pool.
_asked = mmap.mmap(-1, 1)
_main = os.getpid()
_child = 0


def install() -> None:
    """Listen for the workers that start in this process."""
    worker_ready.connect(_watch)
    task_prerun.connect(_watch_in_child)


def _watch(sender: Any, **_: Any) -> None:
    """Celery has its handlers by now; `sender` is the consumer."""
    if type(sender.pool).terminate_job is BasePool.terminate_job and "terminate_job" not in vars(sender.pool):
        sender.pool.terminate_job = _let_go  # Celery would stop in the middle of stopping
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            _before(number, partial(_begin, sender.controller.state))


def _let_go(*_: Any) -> None:
    """A thread cannot be ended, and need not be: it goes with its process."""


def _begin(state: Any) -> None:
    """The main process was asked to stop."""
    owner.leave()
    _asked[0] = 1
    threading.Thread(target=_end, args=(state,), name="end", daemon=True).start()


def _end(state: Any) -> None:
    """Be gone in time. A worker that was told to wait for every attempt (SIGTERM without REMAP_SIGTERM) does that."""
    time.sleep(GRACE + LAST_SECONDS)
    while state.should_terminate in {None, False}:
        time.sleep(LOOK_AGAIN_SECONDS)
    os._exit(0)


def _watch_in_child(**_: Any) -> None:
    """A child of the pool gets its handlers after everything that it tells us of, so this waits for its first task."""
    global _child  # noqa: PLW0603 - once per process
    if os.getpid() not in {_main, _child} and threading.current_thread() is threading.main_thread():
        _child = os.getpid()
        for number in SIGNALS:
            _before(number, _make_way)


def _make_way() -> None:
    """What this child runs is not its failure: its claim is free once it is gone, and another worker takes it."""
    if _asked[0]:
        owner.leave()
        os._exit(0)


def _before(number: signal.Signals, first: Callable[[], None]) -> None:
    then = signal.getsignal(number)

    def handle(signum: int, frame: Any) -> None:
        first()
        if callable(then):
            then(signum, frame)
        elif then == signal.SIG_DFL:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    signal.signal(number, handle)
