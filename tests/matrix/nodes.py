"""`python -m tests.matrix.nodes [--short]`: three nodes of RabbitMQ behind one name, of which one after the other is killed."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.harness import ServerMissing, until
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.rabbitmq_cluster import NODES, RabbitCluster
from tests.matrix import faults
from tests.matrix.combination import BROKERS, Combination
from tests.matrix.engine import Engine
from tests.matrix.result import Result
from tests.matrix.site import Site, close_all

BROKER = "three nodes of RabbitMQ"
#: What happens, in this order; a node that was killed is back before the next one.
FAULTS = (
    "the node in use is killed",
    "the killed node comes back",
    "another node is killed",
    "that node comes back",
    "the node in use is restarted by rabbitmqctl",
)
RETURNS = (FAULTS[1], FAULTS[3])
#: Those of the short form.
QUICK = FAULTS[:2]
#: Seconds until a node that was started again has its copy of the queue.
BACK_WITHIN = 60.0


class Nodes(Engine):
    """The three nodes; the queue has a copy on each."""

    def __init__(self) -> None:
        self.cluster = RabbitCluster().start()

    @property
    def url(self) -> str:
        return self.cluster.url

    @property
    def version(self) -> str:
        return f"RabbitMQ {self.cluster.version}"

    def die(self) -> None:
        self.cluster.in_use.kill9()

    def close(self) -> None:
        self.cluster.close()


class NodeSite(Site):
    """An installation whose messages are in the cluster."""

    _killed: RabbitMQ

    def prepare(self, fault: str) -> None:
        """Wait for every node before one of them goes."""
        if fault not in RETURNS:
            until(lambda: self.cluster.members() == NODES, BACK_WITHIN, "the queue to have a copy on each node")

    def die(self, fault: str) -> None:
        """Let one of FAULTS happen, and return before a node that starts has started: work has to go on meanwhile."""
        if fault in RETURNS:
            self._killed.boot()
            return
        self._killed = self.cluster.spare if fault == "another node is killed" else self.cluster.in_use
        if fault == "the node in use is restarted by rabbitmqctl":
            self._killed.shut_down()
            self._killed.boot()
        else:
            self._killed.kill9()

    @property
    def cluster(self) -> RabbitCluster:
        """The three nodes."""
        broker = self.servers["broker"]
        assert isinstance(broker, Nodes)
        return broker.cluster


def play(folder: Path, chosen: tuple[str, ...]) -> Result:
    """Let everything that was chosen happen under a stream of effects, and judge."""
    result = Result(Combination(BROKER, "Redis", "files"))
    brokers: Mapping[str, type[Engine]] = BROKERS | {BROKER: Nodes}
    site = NodeSite(result.combination, folder, brokers)
    try:
        result.versions = frozenset(server.version for server in site.servers.values())
        faults.play(site, chosen, faults.KINDS, result)
    finally:
        site.close()
    return result


def text(result: Result) -> str:
    """Return what is written down: a row for each fault, and what the judge counted in all."""
    lines = [f"{', '.join(sorted(result.versions))}", "", "| what happens | work went on after |", "| --- | --: |"]
    lines += [f"| {fault} | {seconds:.1f} s |" for fault, seconds in result.seconds.items()]
    if verdict := result.verdict:
        doubt = verdict.ended["unknown"] + verdict.ended["held"]
        said = f"{verdict.asked} effects asked for, {verdict.effects} happened, {len(verdict.duplicates)} twice"
        lines += ["", f"{said}, {result.lost} lost, {doubt} in doubt"]
    return "\n".join([*lines, *([result.why] if result.is_red else [])])


def main() -> int:
    """Play it; answers 1 if something happened twice or was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix.nodes", description="Kill nodes of RabbitMQ.")
    parser.add_argument("--short", action="store_true", help="kill the node in use alone, and start it again")
    short = parser.parse_args().short
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="nodes-"))
    try:
        result = play(folder / "site", QUICK if short else FAULTS)
    except ServerMissing as error:
        print(f"not run: {error}")  # noqa: T201
        return int(bool(os.environ.get("CI")))
    except KeyboardInterrupt:
        close_all()
        return 130
    print(text(result), flush=True)  # noqa: T201
    if result.is_red:
        print(folder)  # noqa: T201
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return int(result.is_red)


if __name__ == "__main__":
    sys.exit(main())
