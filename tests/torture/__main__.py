"""`python -m tests.torture [--short|--long] [--seed N] [--only FAULT] [--without FAULT] [--rabbitmq] [--postgresql] [--teeth] [--write docs/torture.md]`."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import polling
from tests.harness.install import ROOT
from tests.harness.postgres import Postgres
from tests.harness.rabbitmq import RabbitMQ
from tests.torture import report
from tests.torture.arena import close_all
from tests.torture.page import Circumstances, page
from tests.torture.result import Result
from tests.torture.runner import Runner
from tests.torture.scenario import chosen
from tests.torture.teeth import Bite, bite_all


def main() -> int:
    """Play the scenarios; answers 1 if any is red."""
    options = _options()
    # What never comes to rest is a finding, and costs a whole deadline: each tooth is one, and without them none is.
    polling.CROWDED = 1 if options.teeth else 3
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.default_int_handler)
    print(f"seed {options.seed}", flush=True)  # noqa: T201
    if options.teeth:
        return int(not all(bite.is_red for bite in _bite(options, options.only)))
    started = time.monotonic()
    with _broker(options) as broker, _database(options) as database:
        runner = Runner(
            options.seed,
            long=options.long,
            root=options.root,
            jobs=options.jobs,
            keep=options.keep,
            broker=broker,
            database=database,
        )
        results = runner.play_all(chosen(options.only, options.without), _tell)
    print(report.text(results), flush=True)  # noqa: T201
    for result in results:
        if result.is_red:
            print(report.line(result), flush=True)  # noqa: T201 - again, where the end of a long log is read
    if options.write:
        bites = _bite(options, [])
        how = Circumstances(sys.argv[1:], options.seed, time.monotonic() - started, options.long)
        options.write.write_text(page(results, bites, how))
    return int(any(result.is_red for result in results))


@contextmanager
def _broker(options: argparse.Namespace) -> Iterator[RabbitMQ | None]:
    """Yield a node of RabbitMQ that carries all messages, if it was asked for."""
    node = RabbitMQ().start() if options.rabbitmq else None
    try:
        yield node
    finally:
        if node:
            node.close()


@contextmanager
def _database(options: argparse.Namespace) -> Iterator[Postgres | None]:
    """Yield a server that has the journals of all scenarios, if it was asked for."""
    server = Postgres().start() if options.postgresql else None
    try:
        yield server
    finally:
        if server:
            server.close()


def _bite(options: argparse.Namespace, only: list[str]) -> list[Bite]:
    """Take out one defence after the other."""
    bites = bite_all(options.root, options.seed, only, options.jobs, _tell_bite)
    print(report.teeth(bites), flush=True)  # noqa: T201
    return bites


def _tell_bite(bite: Bite) -> None:
    print(report.bite(bite), flush=True)  # noqa: T201


def _tell(result: Result) -> None:
    print(report.line(result), flush=True)  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description="Torture Gatehouse.")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--short", action="store_true", help="each fault a few times (the default)")
    form.add_argument("--long", action="store_true", help="until 3,000 hits fell in the sending window")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument(
        "--only", action="append", default=[], metavar="FAULT", help="F1, or a scenario's name; repeatable"
    )
    parser.add_argument("--without", action="append", default=[], metavar="FAULT", help="all but these; repeatable")
    parser.add_argument(
        "--rabbitmq",
        action="store_true",
        help="RabbitMQ carries the messages; name with --only what does not reach into Redis for them",
    )
    parser.add_argument(
        "--postgresql",
        action="store_true",
        help="the journal is in PostgreSQL; name with --only what does not reach into its files",
    )
    parser.add_argument("--teeth", action="store_true", help="take out each defence: the suite must go red")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="bare the teeth too, and write it all to this page")
    parser.add_argument("--jobs", type=int, default=3, help="scenarios side by side (default 3; most of them wait)")
    parser.add_argument("--root", type=Path, default=ROOT, help="where the product's source is")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all scenarios")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:
        close_all()  # and without waiting for threads that wait for what is gone now
        print("ended; every process is gone", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(130)
    sys.exit(status)
