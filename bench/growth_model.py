"""`python -m bench.growth_model`: a simulation of many agents on several hosts, with the costs that were measured here.

It answers which part is busy first, and how long a call waits for the gate besides its own work. Every cost is an argument.

What it assumes: calls arrive at random (Poisson) at the rate of the busiest hour, and equally often for each agent; a call
without an effect asks the ledger twice and one with an effect four times, with two commits of the journal; an agent's keys
are on one shard; each worker sweeps every agent that it has loaded twice a second, shard by shard, in pieces of a
millisecond; nothing fails, and the network takes no time.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from bench import growth_plots
from bench.growth_simulation import Model, Setup
from bench.growth_table import table


def main() -> None:
    """Simulate what the arguments say, or write the plots of docs/scale.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth_model", description=__doc__)
    for each in fields(Setup):
        kind = int if isinstance(each.default, int) else float
        text = f"{each.metadata['help']} (default {each.default:g})"
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=kind, default=each.default, help=text)
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write the plots there, and print their figures")
    asked = vars(parser.parse_args())
    folder, setup = asked.pop("plots"), Setup(**asked)
    if folder:
        growth_plots.write(folder, setup)
        return
    print("\n".join(table([Model(setup).run()])))


if __name__ == "__main__":
    main()
