"""The drill's own place: a name for its keys and queue, and a folder on the disk of STATE_DIR. All of it goes at the end."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import settings
from state import namespace, private
from state.files import open_locked


@dataclass(frozen=True)
class Sandbox:
    """Where one drill happens. Nobody else uses a key that begins with `name`, or a file below `folder`."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def lock(self) -> Path:
        """Held for as long as a process lives that will clear this place."""
        return self.folder.with_suffix(".lock")

    @property
    def environment(self) -> dict[str, str]:
        """The installation's own, with a state folder that is not its own."""
        own = {"STATE_DIR": str(self.folder), "REDIS_URL": settings.current().redis_url}
        return {**settings.environment(), **own, "LOG_FORMAT": "json", "LOG_LEVEL": "info"}

    def clear(self) -> None:
        """Remove every key and file. Raises StoreError if Redis is away; the next drill then removes what is left."""
        config = settings.current()
        for url in {config.redis_url, config.broker_url}:
            namespace.remove(url, self.name)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.unlink(missing_ok=True)


@contextmanager
def opened(run_dir: Path) -> Iterator[tuple[Sandbox, int]]:
    """A place of its own and the descriptor of its lock; both are gone afterwards, and so is what a killed drill left."""
    private.folder(run_dir)
    _clear_what_was_left(run_dir)
    place = Sandbox(run_dir / f"drill-{secrets.token_hex(4)}")
    lock = open_locked(place.lock, wait=0)
    try:
        place.folder.mkdir(mode=0o700)
        yield place, lock
    finally:
        place.clear()
        os.close(lock)


def _clear_what_was_left(run_dir: Path) -> None:
    for path in run_dir.glob("drill-*.lock"):
        left = Sandbox(path.with_suffix(""))
        with suppress(BlockingIOError):  # another drill runs there
            lock = open_locked(left.lock, wait=0)
            left.clear()
            os.close(lock)
