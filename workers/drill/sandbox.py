"""The drill's sandbox: a prefix for its keys and queues, and a folder in STATE_DIR. The drill removes all of it at the end."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import settings
from server_urls.broker_url import is_amqp
from state import namespace, private
from state.files import open_locked
from workers.application import Gatehouse, app
from workers.bell import Bell
from workers.pulse import PulseStep

#: Seconds after which the broker delivers an unacknowledged message again: in a drill, while its task still runs.
VISIBILITY_TIMEOUT = 1
#: Seconds until other workers may put messages back if the worker that does so is killed.
MUTEX_EXPIRE = 2


@dataclass(frozen=True)
class Sandbox:
    """The sandbox of one drill. Only that drill uses keys that begin with `name`, and files below `folder`."""

    folder: Path

    @property
    def name(self) -> str:
        """The prefix of every key."""
        return self.folder.name

    @property
    def lock(self) -> Path:
        """The file that is locked while a process lives that will clear this sandbox."""
        return self.folder.with_suffix(".lock")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the drill's processes: that of the installation, with a state folder of their own."""
        # A prefix of keys is what keeps a drill apart, and RabbitMQ has none: there the ledger's server carries the messages.
        ledger, broker = settings.current().redis_url, settings.current().broker_url
        changed = {"STATE_DIR": str(self.folder), "REDIS_URL": ledger}
        changed |= {"BROKER_URL": ledger} if is_amqp(broker) else {}
        return {**settings.environment(), **changed, "LOG_FORMAT": "json", "LOG_LEVEL": "info"}

    def clear(self) -> None:
        """Remove every key and file. Raises StoreError if Redis is away; the next drill then removes the rest."""
        config = settings.current()
        for url in {config.redis_url, config.broker_url}:
            if not is_amqp(url):
                namespace.remove(url, self.name)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.unlink(missing_ok=True)


@contextmanager
def opened(run_dir: Path) -> Iterator[tuple[Sandbox, int]]:
    """Open a new sandbox, and clear it afterwards. Clears the sandboxes of killed drills first.

    Args:
        run_dir: The folder in which sandboxes lie.

    Yields:
        The sandbox, and the descriptor of its lock.

    """
    private.folder(run_dir)
    _clear_abandoned(run_dir)
    sandbox = Sandbox(run_dir / f"drill-{secrets.token_hex(4)}")
    lock = open_locked(sandbox.lock, wait=0)
    try:
        sandbox.folder.mkdir(mode=0o700)
        yield sandbox, lock
    finally:
        sandbox.clear()
        os.close(lock)


def _clear_abandoned(run_dir: Path) -> None:
    for path in run_dir.glob("drill-*.lock"):
        abandoned = Sandbox(path.with_suffix(""))
        with suppress(BlockingIOError):  # another drill is running there
            lock = open_locked(abandoned.lock, wait=0)
            abandoned.clear()
            os.close(lock)


def isolate_app(name: str) -> Gatehouse:
    """Make this process's Celery application use keys of the sandbox only, and return it.

    Args:
        name: The sandbox's name, which becomes the prefix of every key of the broker and of the results.

    """
    prefix = {"global_keyprefix": f"{name}:"}
    redelivery = {"visibility_timeout": VISIBILITY_TIMEOUT, "unacked_restore_interval": 1}
    redelivery |= {"unacked_restore_throttle": 1, "unacked_mutex_expire": MUTEX_EXPIRE}
    app.conf.broker_transport_options = app.conf.broker_transport_options | prefix | redelivery
    app.conf.result_backend_transport_options = prefix
    app.steps["consumer"].discard(Bell)  # what a drill breaks is not an incident
    app.steps["consumer"].discard(PulseStep)  # what it kills is not missed, and its folder is not a host
    app.conf.worker_enable_remote_control = False
    app.conf.worker_send_task_events = app.conf.task_send_sent_event = False
    return app


def is_quiet() -> bool:
    """Tell whether every message in the sandbox was taken and acknowledged."""
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel  # kombu's types do not cover the transport's own attributes
        waiting = channel.client.llen(app.conf.task_default_queue)
        return not waiting and not channel.client.hlen(channel.unacked_key)


if __name__ == "__main__":
    Sandbox(Path(sys.argv[1])).clear()
