"""Shutdown: a worker that is asked to stop marks its claims at once, and exits within its grace period.

Celery alone does not do this: it marks nothing until it has stopped, waits for threads that do not end, and reports a
task of a pool child as failed that was only interrupted by the shutdown.
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
from celery.signals import task_prerun, worker_init, worker_process_shutdown, worker_ready, worker_shutting_down

from state.ledger import owner
from workers import pulse
from workers.config import GRACE

#: Seconds after the grace period in which Celery returns messages and closes its connections; `make up` kills after 8.
CLOSE_SECONDS = 2.0

#: Seconds between two checks whether Celery ended its own wait.
POLL_INTERVAL = 0.5

SIGNALS = (signal.SIGTERM, signal.SIGQUIT)

#: One byte, shared with the pool's children: 1 after the worker was asked to stop. Each worker makes one of its own.
_stopping = mmap.mmap(-1, 1)
_main_pid = 0
_child_pid = 0


def install() -> None:
    """Install the handlers of every worker that starts in this process."""
    worker_init.connect(_begin)
    worker_ready.connect(_handle_signals)
    task_prerun.connect(_handle_signals_in_child)
    worker_shutting_down.connect(_mark_claims)
    worker_process_shutdown.connect(_mark_claims)
    worker_shutting_down.connect(_report_stop)


def _begin(**_: Any) -> None:
    """Run before the pool is made: this process may be a fork of one that has imported the module."""
    global _stopping, _main_pid
    _stopping, _main_pid = mmap.mmap(-1, 1), os.getpid()


def _mark_claims(**_: Any) -> None:
    owner.leave()


def _report_stop(**_: Any) -> None:
    pulse.of_worker().stop()


def _handle_signals(sender: Any, **_: Any) -> None:
    """Run when the worker is ready, so after Celery has set its own handlers. `sender` is the consumer."""
    if type(sender.pool).terminate_job is BasePool.terminate_job and "terminate_job" not in vars(sender.pool):
        sender.pool.terminate_job = _ignore  # without one Celery raises in the middle of its shutdown
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            _prepend_handler(number, partial(_begin_shutdown, sender.controller.state))


def _ignore(*_: Any) -> None:
    """Do nothing: a thread cannot be terminated, and ends with its process."""


def _begin_shutdown(state: Any) -> None:
    owner.leave()
    _stopping[0] = 1
    threading.Thread(target=_exit_in_time, args=(state,), name="shutdown", daemon=True).start()


def _exit_in_time(state: Any) -> None:
    """Exit after the grace period, unless the worker was told to wait for every attempt (SIGTERM without REMAP_SIGTERM)."""
    time.sleep(GRACE + CLOSE_SECONDS)
    while state.should_terminate in {None, False}:
        time.sleep(POLL_INTERVAL)
    os._exit(0)


def _handle_signals_in_child(**_: Any) -> None:
    """Set a pool child's handlers at its first task: the pool sets its own after Celery's last earlier notification."""
    global _child_pid  # noqa: PLW0603 - once per process
    if os.getpid() not in {_main_pid, _child_pid} and threading.current_thread() is threading.main_thread():
        _child_pid = os.getpid()
        for number in SIGNALS:
            _prepend_handler(number, _exit_child)


def _exit_child() -> None:
    """Exit without a failure: the claim is free once this process is gone, and another worker takes it."""
    if _stopping[0]:
        owner.leave()
        os._exit(0)


def _prepend_handler(number: signal.Signals, first: Callable[[], None]) -> None:
    """Call `first` on this signal, and then the handler that was set before."""
    previous = signal.getsignal(number)

    def handle(signum: int, frame: Any) -> None:
        first()
        if callable(previous):
            previous(signum, frame)
        elif previous == signal.SIG_DFL:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    signal.signal(number, handle)
