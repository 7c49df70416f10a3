"""One installation on the servers of a combination, with a judge that counts its effects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.effects.client import EffectServer
from tests.harness import Process
from tests.matrix.combination import BROKERS, JOURNALS, LEDGERS, Combination
from tests.matrix.engine import Engine
from tests.torture.house import House
from tests.torture.producer import Producer
from tests.torture.watch import Watch

#: Effects that one worker has in flight at once.
CONCURRENCY = 8


#: Those that are open, or being opened.
SITES: set[Site] = set()


def close_all() -> None:
    """End every process of every site."""
    for site in list(SITES):
        site.close()


class Site:
    """Servers, judge, one worker, and who asks; `close` ends all of it."""

    def __init__(self, combination: Combination, folder: Path, brokers: Mapping[str, type[Engine]] = BROKERS) -> None:
        self._brokers = brokers
        self._closers: list[Callable[[], None]] = []
        self.servers: dict[str, Engine] = {}  #: what a fault names → what it kills
        SITES.add(self)
        try:
            self._open(combination, folder)
        except BaseException:
            self.close()
            raise

    def _open(self, combination: Combination, folder: Path) -> None:
        folder.mkdir(parents=True)
        env = self._start_servers(combination)
        self.judge = EffectServer(folder).start()
        self._closers.append(self.judge.kill9)
        modules = ["torturer", "storyteller", "counter"]
        self.house = House(
            folder, env["REDIS_URL"], task_modules=modules, env={"EFFECTS_URL": self.judge.base_url, **env}
        )
        self._closers.append(self.house.close)
        self.producer = Producer(self.house, 1)
        self._closers.append(self.producer.close)
        self.watch = Watch(self.house._redis, lambda: self.producer.asked)
        self._closers.append(self.watch.close)
        self.hire()
        self.house.beat()

    @property
    def worker(self) -> Process:
        """The worker that was started last."""
        return self._worker

    def prepare(self, fault: str) -> None:
        """Do what has to be done before a fault, and does not count as a part of it."""

    def die(self, fault: str) -> None:
        """Kill what a fault names, and bring it back."""
        if fault == "worker":
            self.worker.kill9()
            self.hire()
        else:
            self.servers[fault].die()

    def hire(self) -> None:
        """Start a worker and wait until it consumes."""
        [self._worker] = self.house.hire(1, concurrency=CONCURRENCY)

    def closed(self) -> str | None:
        """Why effects are closed until a person recovers; None while they are open, or while a server is away."""
        with suppress(AssertionError):
            found: str | None = self.producer.run(
                "from state.ledger import Ledger\nanswer = Ledger().statuses(['torturer'])['torturer'].closed"
            )
            return found
        return None

    def findings(self) -> list[dict[str, Any]]:
        """What `gatehouse doctor` finds."""
        found: list[dict[str, Any]] = json.loads(self.house.celery("gate", "doctor", "--json", deadline=60).stdout)
        return found

    def advice(self) -> frozenset[str]:
        """The checks of the doctor that rightly ask for a second host."""
        return frozenset[str]().union(*(each.advice for each in self.servers.values()))

    def close(self) -> None:
        """End everything, in the opposite order."""
        SITES.discard(self)
        while self._closers:
            with suppress(Exception):
                self._closers.pop()()

    def _start_servers(self, combination: Combination) -> dict[str, str]:
        ledger = self._start(LEDGERS[combination.ledger])
        env = {"REDIS_URL": ledger.url}
        if combination.broker == combination.ledger:
            self.servers["broker and ledger"] = ledger
        else:
            broker = self._start(self._brokers[combination.broker])
            self.servers |= {"broker": broker, "ledger": ledger}
            env["BROKER_URL"] = broker.url
        if kind := JOURNALS[combination.journal]:
            self.servers["database"] = self._start(kind)
            env["JOURNAL_URL"] = self.servers["database"].url
        return env

    def _start(self, kind: type[Engine]) -> Engine:
        server = kind()
        self._closers.append(server.close)
        return server
