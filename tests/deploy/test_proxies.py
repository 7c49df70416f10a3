"""The examples of nginx and Caddy: their programs accept them, and nginx was run in front of a real web process."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, run, tool
from tests.harness import GaveUp, Install, Process, Valkey, patient, until
from tests.harness.install import http_status
from tests.harness.ports import free_ports
from web.body import MAX_BODY

NGINX = (DEPLOY / "nginx.conf").read_text()
CADDY = (DEPLOY / "Caddyfile").read_text()
NAME = "gatehouse.example.org"
PUBLIC = ("/hooks/", "/calls/", "/tasks/", "/api/", "/posts/", "/feed.xml", "/feed.css")
#: A body that nginx lets through here, and the web process does not need for its answer; and how often it is sent.
LARGE, TRIES = b"x" * 5_000_000, 50
#: A client on this machine that is not at the address that everything else here uses.
CLIENT = "127.0.0.7"


def certificate(folder: Path) -> None:
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl makes the certificate, and is not installed")
    command = f"{openssl} req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN={NAME} -keyout privkey.pem"
    names = ["-out", "fullchain.pem", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([*command.split(), *names], cwd=folder, check=True, capture_output=True)


def adapted(folder: Path, ports: dict[str, int]) -> Path:
    """Return the example with a certificate, ports and folders of a test; nothing else is changed."""
    text = NGINX
    changes = {
        f"/etc/letsencrypt/live/{NAME}/": f"{folder}/",
        "pid /run/nginx.pid;": f"pid {folder}/nginx.pid;",
        "/var/log/nginx/": f"{folder}/",
        "127.0.0.1:8000": f"127.0.0.1:{ports['web']}",
        "listen 80;": f"listen 127.0.0.1:{ports['plain']};",
        "listen 443 ssl": f"listen 127.0.0.1:{ports['tls']} ssl",
    }
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):  # else they are below /var/lib
        text = text.replace("http {\n", f"http {{\n    {kind}_temp_path {folder}/{kind};\n", 1)
    if os.getuid() == 0:
        text = f"user root;\n{text}"  # else its workers could not read the folder of this test
    file = folder / "nginx.conf"
    file.write_text(text)
    return file


def test_nginx_accepts_the_example(tmp_path: Path) -> None:
    nginx = tool("nginx")
    certificate(tmp_path)
    plain, tls, web = free_ports(3)

    done = run(nginx, "-t", "-p", tmp_path, "-c", adapted(tmp_path, {"plain": plain, "tls": tls, "web": web}))

    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr, done.stderr


def test_caddy_accepts_the_example(tmp_path: Path) -> None:
    caddy, home = (
        tool("caddy"),
        {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
    )

    done = run(caddy, "validate", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile", env=home)
    formatted = run(caddy, "fmt", DEPLOY / "Caddyfile", env=home)

    assert done.returncode == 0, done.stderr
    assert formatted.stdout == CADDY, "run: caddy fmt --overwrite deploy/Caddyfile"


def test_both_examples_let_the_same_paths_through() -> None:
    of_caddy = re.search(r"@public path (.+)", CADDY)
    of_nginx = re.search(r"location ~ \^/\((.+)\) \{", NGINX)

    assert of_caddy
    assert of_nginx
    assert {path.removesuffix("*") for path in of_caddy[1].split()} == set(PUBLIC)
    assert {f"/{path}".replace("\\", "").removesuffix("$") for path in of_nginx[1].split("|")} == set(PUBLIC)


@dataclass(frozen=True)
class Answer:
    """What a proxy answered."""

    status: int
    headers: dict[str, str]
    body: str


class Front:
    """nginx with the example in front of a web process; it lets bodies through up to `max_body`."""

    def __init__(self, install: Install, folder: Path, max_body: str = "256k") -> None:
        self.install, self.folder = install, folder
        plain, tls = free_ports(2)
        self.plain, self.tls = plain, tls
        config = adapted(folder, {"plain": plain, "tls": tls, "web": install.web_port})
        config.write_text(config.read_text().replace("client_max_body_size 256k;", f"client_max_body_size {max_body};"))
        command = [tool("nginx"), "-p", str(folder), "-c", str(config), "-g", "daemon off;"]
        self.process = Process("nginx", command, {}, folder, folder / "nginx.log", may_fork=False)
        until(self._listens, 15, "nginx to listen")

    def _listens(self) -> bool:
        if not self.process.alive:
            raise GaveUp(f"nginx ended:\n{self.process.output}")
        socket.create_connection(("127.0.0.1", self.tls), timeout=patient(5)).close()
        return True

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        name: str = NAME,
        client: str = CLIENT,
    ) -> Answer:
        """Send a request from this address over TLS, with this name in the certificate and in Host."""
        context = ssl.create_default_context(cafile=str(self.folder / "fullchain.pem"))
        context.check_hostname = False
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.tls, timeout=patient(30), context=context, source_address=(client, 0)
        )
        connection.connect = lambda: _connect(connection, context, name)  # type: ignore[method-assign]
        try:
            connection.request(method, path, body or None, {"Host": name, **(headers or {})})
            answer = connection.getresponse()
            found = {key.lower(): value for key, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read().decode(errors="replace"))
        finally:
            connection.close()


def _connect(connection: http.client.HTTPSConnection, context: ssl.SSLContext, name: str) -> None:
    http.client.HTTPConnection.connect(connection)
    connection.sock = context.wrap_socket(connection.sock, server_hostname=name)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, valkey_server: Valkey) -> Iterator[Front]:
    tool("nginx")
    folder = tmp_path_factory.mktemp("front")
    certificate(folder)
    env = {"PUBLIC_URL": f"https://{NAME}", "API_TOKENS": "ci:a-token-for-the-tests-0123456789:read,counter.*"}
    install = Install(folder / "install", valkey_server.url, env=env)
    install.web()
    one = Front(install, folder)
    yield one
    one.process.kill9()
    install.close()


@pytest.fixture(scope="module")
def roomy(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Yield a second nginx in front of the same web process, which lets large bodies through."""
    folder = tmp_path_factory.mktemp("roomy")
    certificate(folder)
    one = Front(front.install, folder, max_body="10m")
    yield one
    one.process.kill9()


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics/", "/", "/healthz", "/readyz", "/reports/", "/agents/publisher", "/sign-in", "/mcp"]
)
def test_what_is_not_public_is_not_there(front: Front, path: str) -> None:
    assert front.ask("GET", path).status == 404
    assert http_status(f"{front.install.web_url}/metrics") == 200


@pytest.mark.slow
def test_a_webhook_reaches_the_web_process_and_gets_its_answer(front: Front) -> None:
    answer = front.ask("POST", "/hooks/standard", b"{}", {"Content-Type": "application/json"})

    assert answer.status == 404
    assert json.loads(answer.body)["status"] == 404, "the web process says that the source has no secret"
    assert answer.headers["strict-transport-security"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers or "/" not in answer.headers["server"]


@pytest.mark.slow
def test_a_body_that_the_web_process_takes_reaches_it_and_a_larger_one_does_not(front: Front) -> None:
    token = {"Authorization": "Bearer a-token-for-the-tests-0123456789", "Content-Type": "application/json"}

    largest = front.ask("POST", "/tasks/counter.add", b"x" * MAX_BODY, token)
    larger = front.ask("POST", "/tasks/counter.add", headers=token | {"Content-Length": str(MAX_BODY + 1)})

    assert json.loads(largest.body)["status"] == largest.status, "an answer of the web process"
    assert larger.status == 413
    assert re.search(r"max_size (\S+)", CADDY)[1] == "256KiB"  # type: ignore[index]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/agents/writer/pause", {"Authorization": "Bearer wrong-wrong-wrong-wrong"}, 401),
        ("/tasks/counter.add", {"Authorization": "Bearer a-token-for-the-tests-0123456789"}, 413),
        ("/hooks/nobody", {}, 404),
    ],
)
def test_an_answer_before_a_large_body_was_read_is_never_a_502(
    roomy: Front, path: str, headers: dict[str, str], status: int
) -> None:
    told = headers | {"Content-Type": "application/json", "Accept": "application/json"}

    # Each from an address of its own: one that sends many wrong tokens is told to wait.
    answers = [roomy.ask("POST", path, LARGE, told, client=f"127.0.1.{number}") for number in range(1, TRIES + 1)]

    assert {answer.status for answer in answers} == {status}


@pytest.mark.slow
def test_the_web_process_learns_the_clients_address_and_believes_nothing_that_the_client_says(front: Front) -> None:
    headers = {
        "Authorization": "Bearer wrong-wrong-wrong-wrong",
        "X-Forwarded-For": "203.0.113.9",
        "Forwarded": "for=1.2.3.4",
    }
    web = front.install.processes[0]
    before = len(web.events("token refused"))

    answer = front.ask("GET", "/api/agents", headers=headers)

    assert answer.status == 401
    [line] = until(lambda: web.events("token refused")[before:], 10, "the refusal in the log")
    assert line["address"] == CLIENT


@pytest.mark.slow
def test_another_name_gets_no_certificate_and_plain_http_is_sent_to_tls(front: Front) -> None:
    with pytest.raises(ssl.SSLError):
        front.ask("GET", "/feed.xml", name="elsewhere.example.org")
    connection = http.client.HTTPConnection("127.0.0.1", front.plain, timeout=patient(10))
    connection.request("GET", "/hooks/standard?x=1", headers={"Host": NAME})
    answer = connection.getresponse()

    assert (answer.status, answer.headers["Location"]) == (301, f"https://{NAME}/hooks/standard?x=1")
    connection.close()


@pytest.mark.slow
def test_the_log_of_nginx_has_no_signature(front: Front) -> None:
    front.ask("GET", "/calls/hook%3Astandard%3A1?sig=a-signature")

    log = until((front.folder / "access.log").read_text, 10, "the access log")
    assert "a-signature" not in log
    assert f"{CLIENT} " in log
