"""A real RabbitMQ node for tests, on ports of loopback, from the binaries of Debian's package rabbitmq-server."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import amqp

from tests.harness.polling import GaveUp, patient, until
from tests.harness.ports import free_ports
from tests.harness.process import Process
from tests.harness.valkey import ServerMissing

#: Debian's own script in /usr/sbin would change the user.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONTROL = SERVER.with_name("rabbitmqctl")

#: Loopback only, and one scheduler that does not spin: tests share a small machine.
LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"
ERLANG = (LOOPBACK, "+S 1:1", "+sbwt none")

CONFIGURATION = """
listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {api_port}
log.console = true
log.file = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
"""
#: Of a node that speaks TLS, too.
TLS = """
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.certfile = {folder}/ca.pem
ssl_options.keyfile = {folder}/key.pem
"""
#: Makes an authority that is its own server, for the name localhost and not for its address.
OPENSSL = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out ca.pem"


class Epmd:
    """The name server through which Erlang's nodes find each other, and the folder with the cookie that they share."""

    def __init__(self) -> None:
        found = shutil.which("epmd")
        if not SERVER.exists() or found is None:
            raise ServerMissing("no RabbitMQ found: install the package rabbitmq-server")
        [self.port] = free_ports(1)
        self.home = Path(tempfile.mkdtemp(prefix="epmd-"))
        command = [found, "-address", "127.0.0.1", "-port", str(self.port)]
        self._process = Process("epmd", command, self.environment, self.home, self.home / "log")

    @property
    def environment(self) -> dict[str, str]:
        """The variables that each node and each command of it need."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),  # the cookie of Erlang is there
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.port),
        }

    def close(self) -> None:
        """End it, and remove its folder."""
        self._process.kill9()
        shutil.rmtree(self.home, ignore_errors=True)


class RabbitMQ:
    """A node with a folder of its own, whose data survives a restart.

    Args:
        epmd: The one of a cluster; by default the node has one of its own.
        ports: Four that are free: for AMQP, the management API, TLS and other nodes.
        options: Further settings of the application `rabbit`, some of which rabbitmq.conf does not know.

    """

    def __init__(self, epmd: Epmd | None = None, ports: Sequence[int] = (), /, **options: int) -> None:
        self._epmd, self._owns_epmd = epmd or Epmd(), epmd is None
        self.port, self.api_port, self.tls_port, self._node_port = ports or free_ports(4)
        self.name = f"gate{self.port}@localhost"
        self.folder = Path(tempfile.mkdtemp(prefix="rmq-"))
        self._options = options
        self._write_configuration()
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self.port}/"

    @property
    def authority(self) -> Path:
        """Return the certificate that a client has to trust."""
        return self.folder / "ca.pem"

    @property
    def api_url(self) -> str:
        return f"http://guest:guest@127.0.0.1:{self.api_port}"

    def start(self) -> RabbitMQ:
        """Start and wait until it answers."""
        self.boot()
        return self.wait()

    def boot(self) -> None:
        """Start it, and do not wait."""
        log = self.folder / "log"
        self._process = Process("rabbitmq", [str(SERVER)], self._environment, self.folder, log)

    def wait(self) -> RabbitMQ:
        """Wait until it answers."""
        try:
            until(self._answers, 60, "RabbitMQ to answer")
        except GaveUp:
            self.close()
            raise
        return self

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.alive

    def kill9(self) -> None:
        self._running().kill9()

    def shut_down(self) -> None:
        """End it as an operator does, with rabbitmqctl."""
        subprocess.run(
            [CONTROL, "shutdown"],
            env=self._environment,
            cwd=self.folder,
            check=True,
            capture_output=True,
            timeout=patient(20),
        )
        self._running().wait(60)

    def join(self, names: Sequence[str]) -> None:
        """Form a cluster with these nodes, itself among them, when it starts for the first time."""
        lines = [f"cluster_formation.classic_config.nodes.{n} = {name}\n" for n, name in enumerate(names, 1)]
        with (self.folder / "rabbitmq.conf").open("a") as file:
            file.write("cluster_formation.peer_discovery_backend = classic_config\n" + "".join(lines))

    def pause(self) -> None:
        """Stop it until `resume`: connections are accepted, and nothing is answered."""
        self._running().pause()

    def resume(self) -> None:
        self._running().resume()

    def close(self) -> None:
        """End the node and its own epmd, and remove its folder."""
        if self._process is not None:
            self._process.kill9()
        if self._owns_epmd:
            self._epmd.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """Yield a channel of a client that knows nothing of Celery."""
        with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=10, read_timeout=10) as connection:
            yield connection.channel()

    def waiting(self, queue: str = "celery") -> int:
        """Return how many messages wait in a queue."""
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def consumers(self, queue: str = "celery") -> int:
        """Return how many consumers a queue has; 0 without such a queue."""
        with self.channel() as channel:
            try:
                return int(channel.queue_declare(queue, passive=True).consumer_count)
            except amqp.NotFound:
                return 0

    def purge(self, queue: str = "celery") -> int:
        """Drop the messages that wait in a queue, and return how many there were."""
        with self.channel() as channel:
            try:
                return int(channel.queue_purge(queue))
            except amqp.NotFound:
                return 0

    def ask(self, path: str, content: Any = None, method: str = "GET") -> Any:
        """Return what the management API answers."""
        connection = HTTPConnection("127.0.0.1", self.api_port, timeout=patient(20))
        login = base64.b64encode(b"guest:guest").decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        try:
            connection.request(method, f"/api/{path}", json.dumps(content or {}), headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise AssertionError(f"the API answered {answer.status} to {method} {path}: {text.decode()}")
        return json.loads(text) if text else None

    def publish(self, body: bytes | str, queue: str = "celery", **properties: Any) -> None:
        """Put a message into a queue, as any program may."""
        with self.channel() as channel:
            channel.basic_publish(amqp.Message(body, **properties), "", queue)

    def _answers(self) -> bool:
        if not self._running().alive:
            raise GaveUp(f"RabbitMQ ended:\n{self._running().output[-4000:]}")
        with self.channel():
            return True

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("start RabbitMQ first")
        return self._process

    def _write_configuration(self) -> None:
        text = CONFIGURATION.format(port=self.port, api_port=self.api_port)
        if shutil.which("openssl"):
            names = ["-addext", "subjectAltName=DNS:localhost"]
            subprocess.run([*OPENSSL.split(), *names], cwd=self.folder, check=True, capture_output=True)
            text += TLS.format(port=self.tls_port, folder=self.folder)
        (self.folder / "rabbitmq.conf").write_text(text)
        (self.folder / "plugins").write_text("[rabbitmq_management].\n")
        (self.folder / "none.conf").touch()

    @property
    def _environment(self) -> dict[str, str]:
        folder, given = str(self.folder), [f"-rabbit {name} {value}" for name, value in self._options.items()]
        return {
            **self._epmd.environment,
            "RABBITMQ_BASE": folder,
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/logs",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_CTL_ERL_ARGS": LOOPBACK,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join([*ERLANG, *given]),
        }
