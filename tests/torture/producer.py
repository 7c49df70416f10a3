"""Who asks for effects: it writes down each key before it asks, and asks until it is told that the call is accepted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.harness import Install, until
from tests.harness.shell import Shell

#: Tries every call of a batch; answers the ids of those that were accepted.
ASK = """
answer = []
for ask in asks:
    try:
        app.send_task(ask["task"], kwargs=ask["kwargs"], task_id=ask["call"], **options)
    except Exception as error:
        print(ask["call"], repr(error), flush=True)
    else:
        answer.append(ask["call"])
"""

AGENT = "torturer"


class Producer:
    """`asked` holds every key that was ever asked for, with its task; the file has them too, synced to the disk."""

    def __init__(self, house: Install, run: int) -> None:
        self.asked: dict[str, str] = {}
        self.accepted: set[str] = set()  #: call ids
        self._house = house
        self._shell = Shell(house)
        self._path = house.folder / f"asked{run}.jsonl"
        self._run, self._number = run, 0

    @property
    def path(self) -> Path:
        return self._path

    def names(self, n: int) -> list[str]:
        """So many names that no call had yet."""
        first, self._number = self._number, self._number + n
        return [f"{self._run}-{number}" for number in range(first, first + n)]

    def ask(self, task: str, n: int, deadline: float = 60.0, queue: str = "") -> list[str]:
        """Ask for `n` new effects, in this queue or in the default one; returns their keys when all are accepted."""
        return self.ask_for(task, self.names(n), deadline, queue)

    def ask_for(self, task: str, names: list[str], deadline: float = 60.0, queue: str = "") -> list[str]:
        """Ask for these; a name that was asked for before is another call for the same key."""
        options = {"queue": queue} if queue else {}
        asks = [
            {"task": f"{AGENT}.{task}", "kwargs": {"n": name}, "call": str(uuid4()), "key": f"{task}:{name}"}
            for name in names
        ]
        self._keep(asks)
        left = {str(ask["call"]): ask for ask in asks}

        def all_are_accepted() -> bool:
            accepted = self._shell.run(ASK, asks=list(left.values()), options=options)
            self.accepted.update(accepted)
            for call in accepted:
                del left[call]
            return not left

        until(all_are_accepted, deadline, f"{n} calls to be accepted" if (n := len(asks)) else "nothing")
        return [str(ask["key"]) for ask in asks]

    def run(self, code: str, **names: Any) -> Any:
        """A snippet in the producer's process."""
        return self._shell.run(code, **names)

    def gate(self, *args: str) -> Any:
        return self._shell.gate(*args)

    def lead_to(self, redis_url: str) -> None:
        """Ask another store from now on."""
        self.begin_again(REDIS_URL=redis_url)

    def begin_again(self, **env: str) -> None:
        """Ask in a new process, with what differs from the installation's environment."""
        self._shell.close()
        ordinary = self._house.env
        self._house.env = {**ordinary, **env}
        self._shell = Shell(self._house)
        self._house.env = ordinary

    def close(self) -> None:
        self._shell.close()

    def note(self, keys: Iterable[str]) -> None:
        """These keys are asked for by somebody else who knows how to name them."""
        self._keep([{"key": key} for key in keys if key not in self.asked])

    def write_down(self, task: str, names: list[str]) -> None:
        """These will be asked for by somebody else, who may fail."""
        self._keep([{"task": task, "key": f"{task}:{name}"} for name in names])

    def forget(self, keys: list[str]) -> None:
        """These do not count: they were never asked for, or nothing must be left of them."""
        for key in keys:
            del self.asked[key]

    def _keep(self, asks: list[dict[str, Any]]) -> None:
        with self._path.open("a") as file:
            file.writelines(json.dumps(ask) + "\n" for ask in asks)
            file.flush()
            os.fsync(file.fileno())
        self.asked |= {ask["key"]: ask["key"].partition(":")[0] for ask in asks}
