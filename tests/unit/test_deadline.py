"""An answer must have ended at its deadline, however it comes: in the clear or through TLS, kept open or closed."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import requests

from clients.http.deadline import BoundedAdapter
from tests.harness import within
from tests.web_server import WebServer

WHOLE = b"all of it" * 1000


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(WHOLE)))
        if self.path.endswith("/close"):
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.path.startswith("/drip"):
            for _ in range(2000):  # a hundred seconds; ends when the client hangs up
                self.wfile.write(b"x")
                time.sleep(0.05)
        else:
            self.wfile.write(WHOLE)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate, and is not installed")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key -out cert"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command.split(), *names], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(params=["http", "https"])
def address(request: pytest.FixtureRequest, certificate: Path) -> Iterator[str]:
    server = WebServer(Handler)
    if request.param == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert", certificate / "key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.start()
    yield f"{request.param}://localhost:{server.server_port}"
    server.close()


def get(url: str, certificate: Path, seconds: float) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        session.mount(url, BoundedAdapter(time.monotonic() + seconds))
        return session.get(url, timeout=5, verify=str(certificate / "cert"))


@pytest.mark.parametrize("path", ["/whole", "/whole/close"])
def test_an_answer_in_time_is_whole(address: str, certificate: Path, path: str) -> None:
    assert get(address + path, certificate, 5).content == WHOLE


@pytest.mark.parametrize("path", ["/drip", "/drip/close"])
def test_an_answer_that_drips_is_cut_at_the_deadline(address: str, certificate: Path, path: str) -> None:
    started = time.monotonic()

    with within(3), pytest.raises(requests.RequestException, match="timed out"):
        get(address + path, certificate, 0.5)

    assert time.monotonic() - started > 0.4
