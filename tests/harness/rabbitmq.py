"""A real RabbitMQ node for tests, on ports of loopback, from the binaries of Debian's package rabbitmq-server."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import amqp

from tests.harness.install import free_ports
from tests.harness.polling import GaveUp, patient, until
from tests.harness.process import Process
from tests.harness.valkey import ServerMissing

#: Debian's own script in /usr/sbin would change the user.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

#: Loopback only, and one scheduler that does not spin: tests share a small machine.
ERLANG = ("-kernel inet_dist_use_interface {127,0,0,1}", "+S 1:1", "+sbwt none")

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


class RabbitMQ:
    """A node with a folder and an epmd of its own, whose data survives a restart.

    Args:
        options: Further settings of the application `rabbit`, some of which rabbitmq.conf does not know.

    """

    def __init__(self, **options: int) -> None:
        found = shutil.which("epmd")
        if not SERVER.exists() or found is None:
            raise ServerMissing("no RabbitMQ found: install the package rabbitmq-server")
        self.port, self.api_port, self.tls_port, self._node_port, self._epmd_port = free_ports(5)
        self.folder = Path(tempfile.mkdtemp(prefix="rmq-"))
        self._options = options
        self._write_configuration()
        epmd = [found, "-address", "127.0.0.1", "-port", str(self._epmd_port)]
        self._epmd = Process("epmd", epmd, self._environment, self.folder, self.folder / "epmd.log")
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self.port}/"

    @property
    def authority(self) -> Path:
        """The certificate that a client has to trust."""
        return self.folder / "ca.pem"

    @property
    def api_url(self) -> str:
        return f"http://guest:guest@127.0.0.1:{self.api_port}"

    def start(self) -> RabbitMQ:
        """Start and wait until it answers."""
        log = self.folder / "log"
        self._process = Process("rabbitmq", [str(SERVER)], self._environment, self.folder, log)
        try:
            until(self._answers, 60, "RabbitMQ to answer")
        except GaveUp:
            self.close()
            raise
        return self

    def kill9(self) -> None:
        self._running().kill9()

    def pause(self) -> None:
        """Stop it until `resume`: connections are accepted, and nothing is answered."""
        self._running().pause()

    def resume(self) -> None:
        self._running().resume()

    def close(self) -> None:
        """End the node and its epmd, and remove its folder."""
        for process in (self._process, self._epmd):
            if process is not None:
                process.kill9()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel of a client that knows nothing of Celery."""
        with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=10, read_timeout=10) as connection:
            yield connection.channel()

    def waiting(self, queue: str = "celery") -> int:
        """How many messages wait in a queue."""
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def consumers(self, queue: str = "celery") -> int:
        """How many consumers a queue has; 0 without such a queue."""
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
        """What the management API answers."""
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
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": folder,  # the cookie of Erlang is there
            "RABBITMQ_BASE": folder,
            "RABBITMQ_NODENAME": f"gate{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/logs",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join([*ERLANG, *given]),
        }
