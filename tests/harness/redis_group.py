"""Redis servers that replicate each other, and sentinels that watch them, on loopback."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.harness.polling import GaveUp, until
from tests.harness.ports import free_ports
from tests.harness.process import Process
from tests.harness.valkey import ServerMissing, binary

#: The name under which the sentinels know the servers.
MASTER = "gate"
#: Users of the servers for the sentinels and for the replicas, so that a test can shut either out.
SENTINEL, REPLICA, SECRET = "sentinel", "replica", "for-loopback-only"
#: What the sentinels may do; Redis's documentation lists it.
OF_SENTINELS = "+multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname +client|kill +script|kill"
#: Milliseconds until a sentinel calls a silent server down. A crowded machine may be silent for a while.
DOWN_AFTER = 1500


def server_with_tls() -> str:
    """Return a server that is built with TLS; the one from the wheel is not."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None or not shutil.which("openssl"):
        raise ServerMissing("no server with TLS: install the packages redis-server and openssl")
    return found


class Certificate:
    """An authority of its own, and a certificate for these names that it signed."""

    def __init__(self, folder: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> None:
        self.folder = folder
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=gatehouse -keyout key.pem -out ca.pem"
        subprocess.run(
            [*command.split(), "-addext", f"subjectAltName={names}"], cwd=folder, check=True, capture_output=True
        )
        self.authority = folder / "ca.pem"

    @property
    def options(self) -> dict[str, str]:
        """What a server needs to speak TLS with everyone, its replicas too."""
        file, key = str(self.authority), str(self.folder / "key.pem")
        files = {"tls-cert-file": file, "tls-key-file": key, "tls-ca-cert-file": file}
        return {**files, "tls-auth-clients": "no", "tls-replication": "yes"}


class Node:
    """One server, or one sentinel, on a port of its own."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        port: int,
        tls: Certificate | None = None,
        password: str = "",
        *,
        checked_name: bool = True,
    ) -> None:
        self.port = port
        self._command, self._folder = command, folder
        self._process: Process | None = None
        checked = {"ssl": True, "ssl_ca_certs": str(tls.authority), "ssl_check_hostname": checked_name} if tls else {}
        self._client: redis.Redis = redis.Redis(
            port=port,
            password=password or None,
            decode_responses=True,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 1),
            **checked,
        )

    def client(self) -> redis.Redis:
        """Return a client that answers in text; one for all, closed at the end."""
        return self._client

    def start(self) -> Node:
        """Start and wait until it answers."""
        log = self._folder / f"{self.port}.log"
        self._process = Process(f"redis{self.port}", self._command, {}, self._folder, log)
        until(self._answers, what=f"the server on port {self.port} to answer")
        return self

    def is_replicated(self) -> bool:
        """Return whether a replica has all that was written so far; WAIT counts what its own connection wrote."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.set("test:mark", "1").execute_command("WAIT", 1, 1000)
            return bool(pipe.execute()[1] == 1)

    def kill9(self) -> None:
        self.running().kill9()

    def pause(self) -> None:
        self.running().pause()

    def resume(self) -> None:
        self.running().resume()

    def close(self) -> None:
        self._client.close()
        if self._process and self._process.alive:
            self._process.kill9()

    def running(self) -> Process:
        if self._process is None:
            raise RuntimeError("start the server first")
        return self._process

    def _answers(self) -> bool:
        if not self.running().alive:
            raise GaveUp(f"the server on port {self.port} ended:\n{self.running().output}")
        return bool(self._client.ping())


class RedisGroup:
    """A primary, a replica, and three sentinels that choose the next primary; close it at the end."""

    def __init__(
        self,
        *,
        program: str = "",
        tls: Certificate | None = None,
        password: str = "",
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rg-"))
        self._program, self._tls, self._password = program or binary(), tls, password
        first, second, *watching = free_ports(5)
        self.nodes = [self._node(first, None, more or {}), self._node(second, first, more or {})]
        self.sentinels = [self._sentinel(port, first) for port in watching]

    @property
    def url(self) -> str:
        """The URL for REDIS_URL."""
        login = f":{quote(self._password, safe='')}@" if self._password else ""
        places = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        scheme, checked = ("sentinels", f"&ssl_ca_certs={self._tls.authority}") if self._tls else ("sentinel", "")
        return f"{scheme}://{login}{places}/0?master={MASTER}{checked}"

    def start(self) -> RedisGroup:
        """Start everything, and wait until a failover would succeed."""
        try:
            for each in (*self.nodes, *self.sentinels):
                each.start()
            until(self._is_ready, 30, "the sentinels to know the replica and each other")
        except BaseException:
            self.close()
            raise
        return self

    def primary(self) -> Node:
        """Return the server that the sentinels name now; they may be of different minds during a failover."""
        named = {int(each.client().sentinel_get_master_addr_by_name(MASTER)[1]) for each in self.sentinels}
        found = [each for each in self.nodes if {each.port} == named]
        if not found:
            raise LookupError(f"the sentinels name {named}")
        return found[0]

    def other(self, node: Node) -> Node:
        """Return the one that is not this one."""
        return next(each for each in self.nodes if each is not node)

    def wait_for_failover(self, before: Node) -> Node:
        """Wait until the sentinels name another primary, which takes writes."""

        def changed() -> Node | None:
            now = self.primary()
            return now if now is not before and now.client().info("replication")["role"] == "master" else None

        return until(changed, 30, "the sentinels to name another primary")

    def wait_for_replica(self) -> None:
        """Wait until the replica has all that the primary has."""
        until(lambda: self.primary().is_replicated(), 20, "the replica to have everything")

    def cut_off(self, node: Node) -> None:
        """Let neither the sentinels nor a replica reach a server; its other clients write on.

        Sentinels go on as the default user, so the server needs a password.
        """
        for user in (SENTINEL, REPLICA):
            node.client().execute_command("ACL", "SETUSER", user, "off")
            node.client().execute_command("CLIENT", "KILL", "USER", user)

    def heal(self, node: Node) -> None:
        """Let the sentinels and the replica reach a server again."""
        for user in (SENTINEL, REPLICA):
            node.client().execute_command("ACL", "SETUSER", user, "on")

    def close(self) -> None:
        for each in (*self.sentinels, *self.nodes):
            each.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _node(self, port: int, of: int | None, more: Mapping[str, str]) -> Node:
        folder = self.folder / str(port)
        folder.mkdir()
        options = {
            **self._ports(port),
            "dir": str(folder),
            "save": "",
            "appendonly": "yes",
            "repl-diskless-sync-delay": "0",
            "repl-ping-replica-period": "1",
            "maxmemory-policy": "noeviction",
            "masteruser": REPLICA,
            "masterauth": SECRET,
            **({"requirepass": self._password} if self._password else {}),
            **more,
        }
        command = [self._program, *(part for name, value in options.items() for part in (f"--{name}", value))]
        command += ["--user", REPLICA, "on", f">{SECRET}", "+psync", "+replconf", "+ping"]
        command += ["--user", SENTINEL, "on", f">{SECRET}", "allchannels", *OF_SENTINELS.split()]
        command += ["--replicaof", "127.0.0.1", str(of)] if of else []
        return Node(command, folder, port, self._tls, self._password)

    def _sentinel(self, port: int, watched: int) -> Node:
        options = {**self._ports(port), "dir": str(self.folder)}
        lines = [f"{name} {value}" for name, value in options.items()] + [
            f"sentinel monitor {MASTER} 127.0.0.1 {watched} 2",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER}",
            f"sentinel failover-timeout {MASTER} 6000",
            f"sentinel auth-user {MASTER} {SENTINEL}",
            f"sentinel auth-pass {MASTER} {SECRET}",
        ]
        file = self.folder / f"{port}.conf"
        file.write_text("\n".join(lines) + "\n")
        return Node([self._program, str(file), "--sentinel"], self.folder, port, self._tls)

    def _ports(self, port: int) -> dict[str, str]:
        if self._tls is None:
            return {"port": str(port), "bind": "127.0.0.1"}
        return {"port": "0", "tls-port": str(port), "bind": "127.0.0.1", **self._tls.options}

    def _is_ready(self) -> bool:
        seen = [each.client().sentinel_master(MASTER) for each in self.sentinels]
        return (
            all(one["num-slaves"] == 1 and one["num-other-sentinels"] == len(self.sentinels) - 1 for one in seen)
            and self.nodes[0].is_replicated()
        )
