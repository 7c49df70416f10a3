"""A server that wants a password, a user or TLS is reached by every part: ledger, broker, results, beat, Flower, commands."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from server_urls import redis_url
from tests.harness import patient
from tests.harness.install import Install
from tests.harness.polling import until
from tests.harness.ports import free_ports
from tests.harness.process import Process
from tests.harness.valkey import binary

pytestmark = pytest.mark.slow  # each reader is a process of its own

PASSWORD = "p@ss:w/rd?&#%"
QUOTED = "p%40ss%3Aw%2Frd%3F%26%23%25"


class Locked:
    """A Valkey server with a password, a user `ada`, a socket, a port, and a TLS proxy in front of the port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.tls_port = free_ports(2)
        self.socket = folder / "s"
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "dir": str(folder),
            "save": "",
            "requirepass": PASSWORD,
            "maxmemory-policy": "noeviction",
        }
        command = [binary(), *(part for name, value in options.items() for part in (f"--{name}", value))]
        command += ["--user", "ada", "on", f">{PASSWORD}", "~*", "&*", "+@all"]
        self.process = Process("valkey", command, {}, folder, folder / "log")
        until(self.socket.exists, what="the socket of the Valkey server")
        self.authority = self._certificate()
        self._proxy()

    def close(self) -> None:
        self.process.kill9()
        self.proxy.kill9()

    def _certificate(self) -> Path:
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out ca.pem"
        names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run([*command.split(), *names], cwd=self.folder, check=True, capture_output=True)
        return self.folder / "ca.pem"

    def _proxy(self) -> None:
        """The embedded server is built without TLS, so this stands in front of it, in a process of its own."""
        code = [str(self.tls_port), str(self.port), str(self.authority), str(self.folder / "key.pem")]
        command = [sys.executable, "-c", PROXY, *code]
        self.proxy = Process("proxy", command, {}, self.folder, self.folder / "proxy.log")
        until(lambda: _listens(self.tls_port), what="the TLS proxy")


#: Ends TLS at the first port and passes everything on to the second.
PROXY = """
import asyncio, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])

async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()

async def serve(reader, writer):
    inside = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(pump(reader, inside[1]), pump(inside[0], writer), return_exceptions=True)

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), ssl=context)
    await server.serve_forever()

asyncio.run(main())
"""


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=patient(5)).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate, and is not installed")
    one = Locked(tmp_path_factory.mktemp("rl"))
    yield one
    one.close()


def forms(server: Locked) -> dict[str, str]:
    """The URLs by which this one server may be named."""
    place, tls = f"127.0.0.1:{server.port}", f"localhost:{server.tls_port}"
    return {
        "socket, password in the query": f"unix://{server.socket}?password={QUOTED}",
        "socket, user and database in the query": f"unix://{server.socket}?db=2&username=ada&password={QUOTED}",
        "socket, as Celery writes it": f"redis+socket://:{QUOTED}@{server.socket}?virtual_host=3",
        "port, user": f"redis://ada:{QUOTED}@{place}/4",
        "port, password in the query": f"redis://{place}?password={QUOTED}&db=5",
        "port, valkey": f"valkey://:{QUOTED}@{place}/6",
        "tls, own authority": f"rediss://ada:{QUOTED}@{tls}/7?ssl_ca_certs={server.authority}",
        "tls, unchecked": f"rediss://:{QUOTED}@{tls}/8?ssl_cert_reqs=none",
    }


SUM = json.dumps({"a": 1, "b": 2})

FORMS = (
    "socket, password in the query",
    "socket, user and database in the query",
    "socket, as Celery writes it",
    "port, user",
    "port, password in the query",
    "port, valkey",
    "tls, own authority",
    "tls, unchecked",
)

#: Every reader writes or reads something on its own way.
READERS = """
    import json, settings
    from state.redis import client as store
    store.client().set("seen by the ledger", 1)
    with app.connection_for_write() as connection:
        connection.default_channel.client.set("seen by the broker", 1)
    app.backend.client.set("seen by the results", 1)
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1)
    print(json.dumps(sorted(str(key) for key in store.client().keys("seen by *"))))
"""


def installed(folder: Path, url: str, **env: str) -> Install:
    """An installation whose REDIS_URL is `url`; the harness itself reads the one form."""

    house = Install(folder, str(redis_url.read(url)), env={**env})
    house.env["REDIS_URL"] = url
    return house


@pytest.mark.parametrize(
    ("variable", "form"),
    [*(("REDIS_URL", form) for form in FORMS), ("BROKER_URL", FORMS[1]), ("BROKER_URL", FORMS[-1])],
)
def test_ledger_broker_and_results_reach_the_same_database(
    server: Locked, tmp_path: Path, variable: str, form: str
) -> None:
    house = installed(tmp_path, forms(server)[form])
    if variable == "BROKER_URL":  # Celery's own option reads it too
        house.env["BROKER_URL"] = house.env["REDIS_URL"]
        house.env["CELERY_BROKER_URL"] = house.env["REDIS_URL"]
        house.env["CELERY_RESULT_BACKEND"] = house.env["REDIS_URL"]

    assert house.json_of(READERS) == ["seen by the broker", "seen by the ledger", "seen by the results"]
    house.close()


@pytest.mark.parametrize("form", ["socket, user and database in the query", "tls, own authority"])
def test_a_whole_house_runs_on_a_server_with_a_password(server: Locked, tmp_path: Path, form: str) -> None:
    url = forms(server)[form]
    house = installed(tmp_path, url, BROKER_URL=url, RESULT_BACKEND="cache+memory://")
    try:
        house.worker()
        house.beat()
        flower = house.flower()

        called = house.celery("call", "counter.add", "--kwargs", SUM)
        assert called.returncode == 0, called.stderr
        assert house.answer(called.stdout.strip().splitlines()[-1])["ok"]

        opener = build_opener(ProxyHandler({}))
        with opener.open(f"{house.flower_url}/api/queues/length", timeout=patient(20)) as answer:
            assert json.load(answer)["active_queues"]

        for process in house.processes:
            assert PASSWORD not in process.output
            assert QUOTED not in process.output
        assert flower.alive
    finally:
        house.close()


def test_a_certificate_of_an_unknown_authority_is_refused_by_every_reader(server: Locked, tmp_path: Path) -> None:
    house = installed(tmp_path, f"rediss://:{QUOTED}@localhost:{server.tls_port}/0")

    status, called = house.celery("gate", "status"), house.celery("call", "counter.add", "--kwargs", SUM)

    for done in (status, called):
        assert done.returncode != 0
        assert PASSWORD not in done.stdout + done.stderr
        assert QUOTED not in done.stdout + done.stderr
    house.close()
