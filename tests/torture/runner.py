"""Plays scenarios, some side by side, and brings every process down again whatever happens."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.harness import GaveUp
from tests.harness.install import ROOT
from tests.harness.polling import patient
from tests.harness.postgres import Postgres
from tests.harness.rabbitmq import RabbitMQ
from tests.torture.arena import REST_WITHIN, Arena
from tests.torture.result import Result
from tests.torture.scenario import Scenario

Made = TypeVar("Made")


def side_by_side(jobs: int, works: list[Callable[[], Made]], tell: Callable[[Made], None]) -> list[Made]:
    """Do all of it, so many at once, telling each result as it comes; who interrupts does not wait for what runs."""
    pool = ThreadPoolExecutor(jobs)
    try:
        running = [pool.submit(work) for work in works]
        for done in as_completed(running):
            tell(done.result())
        return [done.result() for done in running]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class Runner:
    """`play_all` answers in the scenarios' order."""

    def __init__(
        self,
        seed: int,
        *,
        long: bool,
        root: Path = ROOT,
        jobs: int = 2,
        keep: bool = False,
        broker: RabbitMQ | None = None,
        database: Postgres | None = None,
    ) -> None:
        self._seed, self._long, self._root, self._jobs, self._keep = seed, long, root, jobs, keep
        self._broker = broker  #: carries the messages of every scenario, each in a virtual host of its own
        self._database = database  #: has the journals, each in a database of its own

    def play_all(self, scenarios: list[Scenario], tell: Callable[[Result], None]) -> list[Result]:
        """Play them, telling each result as it comes."""
        return side_by_side(self._jobs, [partial(self.play, scenario) for scenario in scenarios], tell)

    def play(self, scenario: Scenario) -> Result:
        """One scenario in an arena of its own."""
        result = Result(scenario, self._seed, scenario.long if self._long else scenario.short)
        result.absent = scenario.missing() or ""
        if result.absent:
            return result
        folder = Path(tempfile.mkdtemp(prefix=f"torture-{scenario.fault.lower()}-"))
        started = time.monotonic()
        try:
            with self._arena(scenario, folder) as arena:
                self._torment(arena, result)
        except Exception:  # noqa: BLE001 - a scenario that cannot even begin is a red one
            result.problem = result.problem or traceback.format_exc(limit=-3)
        result.seconds = time.monotonic() - started
        if self._keep or result.is_red:
            result.folder = str(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        return result

    def _torment(self, arena: Arena, result: Result) -> None:
        try:
            result.scenario.play(arena, result.rounds)
        except (AssertionError, OSError) as error:
            result.problem = (
                str(error) if isinstance(error, GaveUp) else "".join(traceback.format_exception(error, limit=-3))
            )
        result.verdict = arena.verdict(2 if result.problem else REST_WITHIN)
        if self._long and result.scenario.epilogue and not result.is_red and not arena.complaints:
            result.verdict = arena.epilogue(result.verdict)
        arena.testify(result.verdict)
        result.problem = "; ".join([*arena.complaints, *filter(None, [result.problem])])
        result.faults, result.hits = arena.faults, arena.hits
        result.recoveries = list(arena.watch.recoveries.values())

    @contextmanager
    def _arena(self, scenario: Scenario, folder: Path) -> Iterator[Arena]:
        env = dict(scenario.env)
        if self._broker:
            self._broker.ask(f"vhosts/{folder.name}", method="PUT")
            env["BROKER_URL"] = f"{self._broker.url}{folder.name}"
        if self._database:
            self._database.sql(f'CREATE DATABASE "{folder.name}"')
            env["JOURNAL_URL"] = self._database.url_of(folder.name)
        arena = Arena(folder, self._seed, root=self._root, env=env)
        limit = scenario.limit * max(1, (scenario.long / scenario.short if self._long else 1))
        clock = threading.Timer(patient(limit), arena.close)
        clock.start()
        try:
            yield arena
        finally:
            clock.cancel()
            arena.close()
