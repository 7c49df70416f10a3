"""An installation whose worker publishes to a provider of the test."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from tests.harness import Install, Process, until
from tests.harness.shell import Shell

#: Seconds. A death is noticed, two look-ups say no, and the post is sent again.
RECOVERY = 60.0


class Crying:
    """One worker, and a post at a time: the key is `cry:DESTINATION:POST`."""

    def __init__(self, folder: Path, redis_url: str, destination: str, **env: str) -> None:
        self.install = Install(folder, redis_url, task_modules=["crier"], env={"HTTP_TIMEOUT": "4", **env})
        self.shell = Shell(self.install)
        self.worker: Process = self.install.worker(concurrency=2)
        self._destination = destination
        self._numbers = count(1)
        self._post = ""

    @property
    def told(self) -> dict[str, Any]:
        """What `gate explain` says of the post."""
        return dict(self.shell.gate("explain", f"cry:{self._destination}:{self._post}"))

    def cry(self) -> None:
        """Publish a post that there was not yet."""
        self._post = f"hello-{next(self._numbers)}"
        header = f"id: {self._post}\ntitle: Hello\npublish_at: 2026-11-01T09:00:00Z"
        (self.install.content_dir / f"{self._post}.md").write_text(f"---\n{header}\n---\nIt is out.\n")
        self.shell.delay("crier.cry", {"post_id": self._post, "destination": self._destination})

    def correct(self, body: str) -> None:
        """Change the text of the post, and publish it again."""
        path = self.install.content_dir / f"{self._post}.md"
        path.write_text(path.read_text().replace("It is out.", body))
        self.shell.delay("crier.cry", {"post_id": self._post, "destination": self._destination})

    def cry_until_done(self) -> dict[str, Any]:
        """Publish a post and wait for its result."""
        self.cry()
        return self.wait_until_done()

    def wait_until_done(self) -> dict[str, Any]:
        until(lambda: self.told["state"] == "done", RECOVERY, "the post to be out")
        return dict(self.told["result"])

    def kill_the_worker(self) -> None:
        self.worker.kill9()

    def start_another_worker(self) -> None:
        self.worker = self.install.worker(concurrency=2)

    def close(self) -> None:
        self.shell.close()
        self.install.close()
