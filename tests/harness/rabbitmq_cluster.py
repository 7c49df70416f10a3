"""A cluster of three RabbitMQ nodes on loopback, behind one address."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

from tests.harness.balancer import Balancer
from tests.harness.polling import until
from tests.harness.rabbitmq import Epmd, RabbitMQ

NODES = 3
#: Of each node.
PORTS = 4
#: Below those that the kernel gives to outgoing connections: the nodes connect to each other while they start.
STEADY = range(12_000, 32_000)


class RabbitCluster:
    """Three nodes, which all connections share as `url` says: the first one that is alive."""

    def __init__(self) -> None:
        self._epmd = Epmd()
        ports = _steady_ports(PORTS * NODES)
        self.nodes = [RabbitMQ(self._epmd, ports[at : at + PORTS]) for at in range(0, len(ports), PORTS)]
        names = [node.name for node in self.nodes]
        for node in self.nodes:
            node.join(names)
        self._balancer = Balancer([node.port for node in self.nodes])

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self._balancer.port}/"

    @property
    def version(self) -> str:
        return str(self.nodes[0].ask("overview")["rabbitmq_version"])

    def start(self) -> RabbitCluster:
        """Start all nodes at once, and wait until they are one cluster."""
        try:
            for node in self.nodes:
                node.boot()
            for node in self.nodes:
                node.wait()
            until(lambda: len(self.nodes[0].ask("nodes")) == NODES, 60, "three nodes in one cluster")
        except BaseException:
            self.close()
            raise
        return self

    @property
    def in_use(self) -> RabbitMQ:
        """The node that the newest connection leads to."""
        return next(node for node in self.nodes if node.port == self._balancer.chosen)

    @property
    def spare(self) -> RabbitMQ:
        """A node that is alive and not in use."""
        return next(node for node in reversed(self.nodes) if node.alive and node is not self.in_use)

    def members(self, queue: str = "celery") -> int:
        """Return how many nodes have a copy of a queue and are up."""
        return len(next(node for node in self.nodes if node.alive).ask(f"queues/%2F/{queue}")["online"])

    def close(self) -> None:
        """End everything, and remove all folders."""
        self._balancer.close()
        for node in self.nodes:
            node.close()
        self._epmd.close()


def _steady_ports(n: int) -> list[int]:
    """Return ports that nobody listens on now, and that no connection takes later."""
    found: list[int] = []
    for port in random.sample(STEADY, len(STEADY)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
        if len(found) == n:
            break
    return found
