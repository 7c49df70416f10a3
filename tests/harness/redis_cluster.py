"""A Redis Cluster of six nodes on loopback: three primaries, each with a replica."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import RedisError

from tests.harness.polling import until
from tests.harness.ports import free_ports
from tests.harness.redis_group import Certificate, Node
from tests.harness.valkey import binary

SLOTS = 16_384
PRIMARIES = 3
#: Keys of a slot that are moved at once.
AT_ONCE = 10


class RedisCluster:
    """Six servers that share the slots; close it at the end."""

    def __init__(self, *, program: str = "", tls: Certificate | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rc-"))
        self._program, self._tls = program or binary(), tls
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
            replica.client().execute_command("CLUSTER", "REPLICATE", _name_of(primary))
        until(lambda: all(self._is_ok(node) for node in self.nodes), 30, "the cluster to be ready")
        until(self.is_replicated, 60, "each replica to follow its primary")
        until(lambda: all(map(_knows_each_replica, self.nodes)), 30, "every node to have heard of it")

    @property
    def url(self) -> str:
        """What REDIS_URL says: half of the nodes, which name the others."""
        places = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:PRIMARIES])
        if self._tls is None:
            return f"redis+cluster://{places}/0"
        return f"rediss+cluster://{places}/0?ssl_ca_certs={self._tls.authority}"

    def primaries(self) -> list[Node]:
        """The nodes that are primaries now, by what those say that answer."""
        return [node for node in self.nodes if _role(node) == "master"]

    def primary_of(self, key: str) -> Node:
        """The primary that has this key now."""
        slot = self.slot_of(key)
        for begin, end, (_, port, *_), *_ in self._answering().execute_command("CLUSTER", "SLOTS"):
            if begin <= slot <= end:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"no node has the slot {slot}")

    def move_slot(self, key: str, to: Node, between: Callable[[], object] = lambda: None) -> None:
        """Move the slot of a key to another primary, key by key, as `redis-cli --cluster reshard` does.

        Args:
            key: The key.
            to: The primary that gets its slot.
            between: Called after each step, while some of the slot's keys are on one server and some on the other.

        """
        source, slot = self.primary_of(key), self.slot_of(key)
        self.open_slot(key, to)
        while names := source.client().execute_command("CLUSTER", "GETKEYSINSLOT", slot, AT_ONCE):
            source.client().execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *names)
            between()
        for node in (to, source, *(each for each in self.primaries() if each not in (to, source))):
            _set_slot(node, slot, "NODE", to)

    def open_slot(self, key: str, to: Node) -> None:
        """Begin to move the slot of a key to another primary."""
        source, slot = self.primary_of(key), self.slot_of(key)
        _set_slot(to, slot, "IMPORTING", source)
        _set_slot(source, slot, "MIGRATING", to)

    def slot_of(self, key: str) -> int:
        return int(self._answering().execute_command("CLUSTER", "KEYSLOT", key))

    def is_replicated(self) -> bool:
        """Return whether every primary has a replica that has all that was written so far."""
        about = [dict(node.client().info("replication")) for node in self.primaries()]
        return len(about) == PRIMARIES and all(map(_has_all, about))

    def wait_for_failover(self, before: Node, key: str) -> None:
        """Return when another node than `before` is the primary of this key, and every node that answers says that all is well."""
        until(lambda: self.primary_of(key) is not before and self._all_well(), 60, "another primary")

    def _all_well(self) -> bool:
        return all(self._is_ok(node) for node in self.nodes if _role(node))

    def _answering(self) -> redis.Redis:
        return next(node for node in self.nodes if _role(node)).client()

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _node(self, port: int, bus: int) -> Node:
        folder = self.folder / str(port)
        folder.mkdir()
        ports = {"port": str(port)}
        if self._tls:
            ports = {"port": "0", "tls-port": str(port), "tls-cluster": "yes", **self._tls.options}
        options = {
            **ports,
            "bind": "127.0.0.1",
            "dir": str(folder),
            "save": "",
            "appendonly": "yes",
            "cluster-enabled": "yes",
            "cluster-port": str(bus),
            "cluster-node-timeout": "5000",
            "cluster-require-full-coverage": "no",
            "maxmemory-policy": "noeviction",
        }
        command = [self._program, *(part for name, value in options.items() for part in (f"--{name}", value))]
        return Node(command, folder, port, self._tls)

    def _knows_all(self, node: Node) -> bool:
        return len(str(node.client().execute_command("CLUSTER", "NODES")).splitlines()) == len(self.nodes)

    def _is_ok(self, node: Node) -> bool:
        about = str(node.client().execute_command("CLUSTER", "INFO")).splitlines()
        return {"cluster_state:ok", f"cluster_size:{PRIMARIES}"} <= {*about}


def _has_all(about: dict[str, Any]) -> bool:
    followers = [each for name, each in about.items() if re.fullmatch(r"slave\d+", name)]
    return any(each["state"] == "online" and each["offset"] >= about["master_repl_offset"] > 0 for each in followers)


def _knows_each_replica(node: Node) -> bool:
    """Return whether a node knows a replica of each primary; it learns of them by gossip, within some seconds."""
    ranges = node.client().execute_command("CLUSTER", "SLOTS")
    return len(ranges) == PRIMARIES and all(len(servers) > 1 for _, _, *servers in ranges)


def _name_of(node: Node) -> str:
    """Return the name under which the other nodes know this one."""
    return str(node.client().execute_command("CLUSTER", "MYID"))


def _set_slot(node: Node, slot: int, what: str, of: Node) -> None:
    """Tell a node about a slot; Valkey answers NOREPLICAS as long as its replicas are late."""
    command = ("CLUSTER", "SETSLOT", slot, what, _name_of(of))
    until(lambda: node.client().execute_command(*command), 30, f"{what} of the slot {slot} to be taken")


def _role(node: Node) -> str:
    """Return the role of a node, as it says itself; "" if it does not answer."""
    try:
        return str(node.client().info("replication")["role"])
    except RedisError:
        return ""
