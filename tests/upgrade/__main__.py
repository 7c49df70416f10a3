"""`python -m tests.upgrade [--seed N] [--keep]`: upgrade from the version before under load, and go back."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.harness.install import ROOT
from tests.torture.arena import Arena
from tests.torture.verdict import Verdict
from tests.upgrade import newer_data
from tests.upgrade.previous import NotInClone, Previous
from tests.upgrade.rolling import Crew, roll, settle
from tests.upgrade.ticks import Ticks

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: The exit code when nothing was tried.
NOT_CHECKED = 77


def main() -> int:
    """Try the way there and back; answers 1 if a promise was broken, and NOT_CHECKED if there is no version before."""
    options = _options()
    try:
        with Previous() as before:
            print(f"from {before.version} to this version and back; seed {options.seed}", flush=True)  # noqa: T201
            return _play(before.folder, options)
    except NotInClone as error:
        print(f"NOT CHECKED: {error}", flush=True)  # noqa: T201
        return NOT_CHECKED


def _play(before: Path, options: argparse.Namespace) -> int:
    for sign in SIGNALS:
        signal.signal(sign, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="upgrade-"))
    arena, is_well = Arena(folder, options.seed, root=before), False
    try:
        is_well = _there_and_back(arena, before)
    finally:
        for sign in SIGNALS:  # a second one must not leave processes behind
            signal.signal(sign, signal.SIG_IGN)
        arena.close()
        if is_well and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"its folder: {folder}", flush=True)  # noqa: T201
    return int(not is_well)


def _there_and_back(arena: Arena, before: Path) -> bool:
    arena.judge.mode("delay:0.3")
    ticks = Ticks(arena)
    crew, well = Crew(arena, before, 1), True
    for number, (name, root) in enumerate((("upgrade", ROOT), ("way back", before)), 2):
        started = time.monotonic()
        crew.traffic.wait(2)
        newer = Crew(arena, root, number)
        roll(arena, crew, newer, ticks)
        verdict = _look(arena, ticks)
        crossed = newer.ran(crew), crew.ran(newer)
        print(_line(name, arena, verdict, crossed, time.monotonic() - started), flush=True)  # noqa: T201
        well = well and not verdict.broken and all(crossed)
        crew = newer
        crew.ask_again()
    crew.traffic.close()
    return well and _refuses(arena, crew, before)


def _refuses(arena: Arena, older: Crew, before: Path) -> bool:
    """See what the version before makes of data that it cannot read, and tell."""
    started = time.monotonic()
    try:
        newer_data.is_refused(arena, older, before)
    except AssertionError as error:
        print(f"RED newer data: {error}", flush=True)  # noqa: T201
        return False
    seconds = time.monotonic() - started
    print(f"ok  newer data: {seconds:.0f} s, the version before refused it in Redis and in the journal", flush=True)  # noqa: T201
    return True


def _look(arena: Arena, ticks: Ticks) -> Verdict:
    settle(arena, ticks)
    verdict = ticks.excuse(arena.verdict())
    arena.testify(verdict)
    return verdict


def _line(name: str, arena: Arena, verdict: Verdict, crossed: tuple[int, int], seconds: float) -> str:
    broken = "; ".join(f"{promise}: {len(keys)} ({', '.join(keys[:3])})" for promise, keys in verdict.broken.items())
    return (
        f"{'ok ' if all(crossed) and not broken else 'RED'} {name}: {seconds:.0f} s, asked {verdict.asked}, effects {verdict.effects}, "
        f"in flight at a kill or a stop {arena.hits}, {broken or '0 twice, 0 lost'}, "
        f"run by the new for the old {crossed[0]}, by the old for the new {crossed[1]}; "
        f"{', '.join(f'{state} {n}' for state, n in sorted(verdict.ended.items()))}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description="Upgrade under load, and go back.")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
