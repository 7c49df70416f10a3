"""`python -m tests.matrix [--short] [--only WORD] [--jobs N] [--keep] [--write docs/matrix.md]`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.harness import ServerMissing
from tests.matrix import acceptance, faults
from tests.matrix.combination import Combination, every_combination
from tests.matrix.page import page
from tests.matrix.result import Result, text
from tests.matrix.site import Site, close_all


def main() -> int:
    """Play every combination; answers 1 if any is red, or, in CI, was not run."""
    options = _options()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.default_int_handler)
    began = time.monotonic()
    chosen = every_combination(options.only)
    pool = ThreadPoolExecutor(options.jobs)  # not in a `with`, which would wait for its threads after Ctrl-C
    results = list(pool.map(lambda one: _play(one, options), chosen))
    print(text(results), flush=True)  # noqa: T201
    if options.write:
        options.write.write_text(page(results, sys.argv[1:], time.monotonic() - began))
    return int(any(result.is_red or (result.absent and os.environ.get("CI")) for result in results))


def _killed(combination: Combination, options: argparse.Namespace) -> list[str]:
    """What is killed: everything, or in the short form one thing, another one from combination to combination."""
    found = combination.faults
    return [found[every_combination([]).index(combination) % len(found)]] if options.short else found


def _play(combination: Combination, options: argparse.Namespace) -> Result:
    result, began = Result(combination), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="matrix-"))
    try:
        site = Site(combination, folder / "site")
        try:
            result.versions = frozenset(server.version for server in site.servers.values())
            result.problems += acceptance.problems(site)
            result.accepted = len(acceptance.CHECKS) - len(result.problems)
            kinds = faults.QUICK_KINDS if options.short else faults.KINDS
            faults.play(site, _killed(combination, options), kinds, result)
        finally:
            site.close()
    except ServerMissing as error:
        result.absent = str(error)
    except Exception as error:  # noqa: BLE001 - the other combinations are played all the same
        result.problems.append(f"it could not go on: {error!r}")
    _tell(result, time.monotonic() - began, folder)
    if not (options.keep or result.is_red):
        shutil.rmtree(folder, ignore_errors=True)
    return result


def _tell(result: Result, seconds: float, folder: Path) -> None:
    said = "not run" if result.absent else "RED" if result.is_red else "ok"
    waited = ", ".join(f"{fault} {after:.1f} s" for fault, after in result.seconds.items())
    print(f"{said:8}{result.combination.name:34}{seconds:5.0f} s  {waited}{result.absent}", flush=True)  # noqa: T201
    if result.is_red:
        print(f"{result.why}\n  {folder}", flush=True)  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description="Try each broker, ledger and journal.")
    parser.add_argument("--short", action="store_true", help="one kill for each combination, not one of each server")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="RabbitMQ, say; repeatable")
    parser.add_argument("--jobs", type=int, default=3, help="combinations side by side (default 3; most of them wait)")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all combinations")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table to this page")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:
        close_all()
        print("ended; every process is gone", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(130)
    sys.exit(status)
