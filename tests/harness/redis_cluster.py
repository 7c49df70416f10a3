"""A Redis Cluster of six nodes on loopback: three primaries, each with a replica."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.harness.install import free_ports
from tests.harness.polling import until
from tests.harness.redis_group import Node
from tests.harness.valkey import binary

SLOTS = 16_384
PRIMARIES = 3


class RedisCluster:
    """Six servers that share the slots; close it at the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rc-"))
        ports = free_ports(4 * PRIMARIES)
        self.nodes = [self._node(*each) for each in zip(ports[::2], ports[1::2], strict=True)]
        self._buses = dict(zip(ports[::2], ports[1::2], strict=True))

    def start(self) -> RedisCluster:
        """Start all nodes, give out the slots, and wait until every node knows of all."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        for node in self.nodes:
            node.start()
        first, *others = self.nodes
        for node in others:
            first.client().execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, self._buses[node.port])
        for number, node in enumerate(self.nodes[:PRIMARIES]):
            begin, end = number * SLOTS // PRIMARIES, (number + 1) * SLOTS // PRIMARIES - 1
            node.client().execute_command("CLUSTER", "ADDSLOTSRANGE", begin, end)
        until(lambda: all(self._knows_all(node) for node in self.nodes), 30, "the nodes to know each other")
        for primary, replica in zip(self.nodes[:PRIMARIES], self.nodes[PRIMARIES:], strict=True):
            name = str(primary.client().execute_command("CLUSTER", "MYID"))
            replica.client().execute_command("CLUSTER", "REPLICATE", name)
        until(lambda: all(self._is_ok(node) for node in self.nodes), 30, "the cluster to be ready")

    def node_of(self, key: str) -> Node:
        """The primary that has this key."""
        slot = int(self.nodes[0].client().execute_command("CLUSTER", "KEYSLOT", key))
        return self.nodes[slot * PRIMARIES // SLOTS]

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _node(self, port: int, bus: int) -> Node:
        folder = self.folder / str(port)
        folder.mkdir()
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(folder),
            "save": "",
            "cluster-enabled": "yes",
            "cluster-port": str(bus),
            "cluster-node-timeout": "5000",
            "maxmemory-policy": "noeviction",
        }
        command = [binary(), *(part for name, value in options.items() for part in (f"--{name}", value))]
        return Node(command, folder, port)

    def _knows_all(self, node: Node) -> bool:
        return len(str(node.client().execute_command("CLUSTER", "NODES")).splitlines()) == len(self.nodes)

    def _is_ok(self, node: Node) -> bool:
        about = str(node.client().execute_command("CLUSTER", "INFO")).splitlines()
        return {"cluster_state:ok", f"cluster_size:{PRIMARIES}"} <= {*about}
