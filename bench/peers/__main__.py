"""`python -m bench.peers`: the same faults on Gatehouse and its peers, counted by the same judge."""

from __future__ import annotations

import argparse
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.peers.catalogue import PEERS
from bench.peers.faults import FAULTS, Fault
from bench.peers.peer import Peer
from bench.peers.stage import Stage
from bench.peers.table import Table
from bench.peers.venv import Venv
from tests.harness import GaveUp


def main() -> None:
    """Install, inflict every fault on every peer, and print the table."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that workers in sessions of their own are ended too
    peers = [peer for peer in PEERS if not asked.peer or peer.adapter in asked.peer]
    faults = [fault for fault in FAULTS if not asked.fault or fault.title in asked.fault]
    home = Venv()
    missing = home.install_each(peers)
    table = Table(peers, home.versions_of(peers, missing))
    for peer, fault in ((peer, fault) for peer in peers if peer.adapter in missing for fault in faults):
        table.put(peer, fault.title, f"not run: {missing[peer.adapter]}")
    pool = ThreadPoolExecutor(asked.at_once)
    try:
        todo = [(peer, fault) for peer in peers if peer.adapter not in missing for fault in faults]
        cells = [(peer, fault, pool.submit(_one_cell, home, peer, fault, asked.runs)) for peer, fault in todo]
        for peer, fault, cell in cells:
            table.put(peer, fault.title, cell.result())
    finally:
        pool.shutdown(cancel_futures=True)
    print(table)
    if asked.write:
        heading = (
            f"# The same faults on the peers\n\nWritten by `python -m bench.peers --runs {asked.runs} --write FILE`."
        )
        asked.write.write_text(f"{heading}\n\n{table}\n")


def _one_cell(home: Venv, peer: Peer, fault: Fault, runs: int) -> str:
    """Return the effects per key, or why they could not be measured."""
    try:
        with Stage(peer, home.python_of(peer)) as stage:
            found = _inflict(stage, fault, fault.keys(runs))
    except (GaveUp, OSError) as error:
        found = f"not run: {str(error).splitlines()[0]}"
    print(f"{peer.title}, {fault.title}: {found}", file=sys.stderr)
    return found


def _inflict(stage: Stage, fault: Fault, keys: list[str]) -> str:
    try:
        fault.inflict(stage, keys)
    except (GaveUp, OSError):
        print(stage.log, file=sys.stderr)
        raise
    counts = " ".join(str(stage.effects.count(key)) for key in keys)
    return counts if stage.settled else f"{counts} and still going"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--runs", type=int, choices=range(1, 5), default=3, help="keys for each peer and fault")
    parser.add_argument("--at-once", type=int, default=2, help="cells that are measured side by side")
    parser.add_argument("--peer", action="append", choices=[peer.adapter for peer in PEERS], help="only this one")
    parser.add_argument("--fault", action="append", choices=[fault.title for fault in FAULTS], help="only this one")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table there as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
