"""`python -m tests.hosts [--short] [--only WORD] [--keep] [--write docs/hosts.md]`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.harness import ServerMissing
from tests.harness.namespaces import NoNamespaces
from tests.hosts import limits, page, views
from tests.hosts.fleet import SLOW, Fleet, close_all
from tests.hosts.result import HEAD, LIMIT_HEAD, Limited, Result, text
from tests.hosts.scenarios import LONG, SCENARIOS, missing
from tests.torture.verdict import judge
from tests.torture.watch import standings


def main() -> int:
    """Play every scenario and try every limit; answers 1 if anything is red."""
    options = _options()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.default_int_handler)
    folder, began = Path(tempfile.mkdtemp(prefix="hosts-")), time.monotonic()
    try:
        with closing(Fleet(folder / "fleet")) as fleet:
            print(f"two hosts work after {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
            results, limited = _play(fleet, options)
    except (NoNamespaces, ServerMissing) as error:
        print(f"not run: {error}", flush=True)  # noqa: T201
        return int(bool(os.environ.get("CI")) and getattr(error, "may_be_installed", True))
    is_red = any([each.is_red for each in results] + [each.is_red for each in limited]) or _is_incomplete(results)
    if options.write:
        page.write(options.write, results, limited, time.monotonic() - began)
    if not (options.keep or is_red):
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{time.monotonic() - began:.0f} s{f'; the folders are in {folder}' if folder.exists() else ''}")  # noqa: T201
    return int(is_red)


def _play(fleet: Fleet, options: argparse.Namespace) -> tuple[list[Result], list[Limited]]:
    """Play what is chosen; the last scenario takes a host away for good, so that the limits come before it."""
    chosen = {
        name: scenario
        for name, scenario in SCENARIOS.items()
        if (not options.only or any(word in name for word in options.only)) and not (options.short and scenario in LONG)
    }
    *first, last = chosen.items()
    results = [_played(fleet, *each) for each in first]
    limited = limits.every_limit(fleet)
    print(text(LIMIT_HEAD, [each.row for each in limited]), flush=True)  # noqa: T201
    looked = views.problems(fleet)
    results.append(_played(fleet, *last))
    results[-1].problems += looked
    print(text(HEAD, [each.row for each in results]), flush=True)  # noqa: T201
    return results, limited


def _played(fleet: Fleet, name: str, scenario: Callable[[Fleet], None]) -> Result:
    result, began = Result(name, absent=missing(scenario)), time.monotonic()
    if result.absent:
        return result
    fleet.judge.mode(SLOW)
    before = set(fleet.producer.asked)
    try:
        scenario(fleet)
        fleet.rest()
        _judge(fleet, result, before)
    except Exception as error:  # noqa: BLE001 - the other scenarios are played all the same
        result.problems.append(f"it could not go on: {error!r}")
    result.problems += fleet.problems
    fleet.problems.clear()
    result.seconds = time.monotonic() - began
    print(f"{'RED' if result.is_red else 'ok':5}{result.seconds:5.0f} s  {name}  {result.why}", flush=True)  # noqa: T201
    return result


def _judge(fleet: Fleet, result: Result, before: set[str]) -> None:
    """Hold the judge's table against where each key of this scenario stands."""
    asked = {key: task for key, task in fleet.producer.asked.items() if key not in before}
    found = standings(fleet.valkey.client(), list(asked))
    counts = {key: count for key, count in fleet.judge.counts().items() if key in asked}
    bodies = {key: about["doubtful"] for key, about in fleet.judge.asked().items() if key in asked}
    result.verdict = judge(asked, found, counts, bodies)


def _is_incomplete(results: list[Result]) -> bool:
    """Return whether something was not run where everything has to be."""
    return bool(os.environ.get("CI")) and any(each.absent for each in results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hosts", description="Try several hosts. Needs root.")
    parser.add_argument("--short", action="store_true", help="without the scenarios that take longest")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="gone, say; repeatable")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the hosts")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the tables into this page")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:
        close_all()
        print("ended; every process is gone", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(130)
    sys.exit(status)
