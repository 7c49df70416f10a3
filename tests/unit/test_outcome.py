"""What an exception behind the line proves, with the exceptions that real sockets raise."""

from __future__ import annotations

import shutil
import smtplib
import socket
import ssl
import struct
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from gatekeeper.errors import NotApplied
from gatekeeper.outcome import of_status, proves_nothing_was_sent

TIMEOUT = 0.3


def post(url: str, **options: Any) -> Any:
    """What a task does behind the line: send, look at the status, read the answer."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(url, json={"text": "hello"}, timeout=TIMEOUT, **options)
        answer.raise_for_status()
        return answer.json()


def error_of(action: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  which one is the point of each test
        action()
    return caught.value


@contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listens, and treats its one visitor as told."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            visitor, _ = listening.accept()
            with visitor, suppress(OSError):
                behave(visitor)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        thread.join(5)


def read_request(visitor: socket.socket) -> None:
    seen = b""
    while b"hello" not in seen:
        seen += visitor.recv(65536)


def answering(status: int, body: bytes = b"{}", length: int | None = None) -> Callable[[socket.socket], None]:
    def behave(visitor: socket.socket) -> None:
        read_request(visitor)
        head = f"HTTP/1.1 {status} Word\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
        visitor.sendall(head.encode() + body)

    return behave


def hangs_up(visitor: socket.socket) -> None:
    read_request(visitor)


def resets(visitor: socket.socket) -> None:
    read_request(visitor)
    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def resets_in_the_handshake(visitor: socket.socket) -> None:
    visitor.recv(65536)
    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hangs_up_in_the_handshake(visitor: socket.socket) -> None:
    visitor.recv(65536)


def says_nothing(visitor: socket.socket) -> None:
    read_request(visitor)
    while visitor.recv(65536):
        pass


def speaks_plainly(visitor: socket.socket) -> None:
    visitor.recv(65536)
    visitor.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
def tls_server(tmp_path: Path) -> Callable[..., Any]:
    """Like `server`, behind TLS; gives the port and the certificate to trust."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"]
    made = [
        program,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
        *subject,
    ]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    @contextmanager
    def behind_tls(behave: Callable[[socket.socket], None]) -> Iterator[tuple[int, Path]]:
        def wrapped(visitor: socket.socket) -> None:
            with context.wrap_socket(visitor, server_side=True) as inside:
                behave(inside)

        with server(wrapped) as port:
            yield port, certificate

    return behind_tls


# Not applied


@pytest.fixture
def closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        return int(listening.getsockname()[1])


def test_a_refused_port_proves_that_nothing_was_sent(closed_port: int) -> None:
    assert proves_nothing_was_sent(error_of(lambda: post(f"http://127.0.0.1:{closed_port}/")))


def test_a_name_that_leads_nowhere_proves_that_nothing_was_sent() -> None:
    assert proves_nothing_was_sent(error_of(lambda: post("http://no-such-host.invalid/")))


def test_a_server_that_does_not_accept_proves_that_nothing_was_sent() -> None:
    with socket.socket() as listening, ExitStack() as visitors:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(8):  # the kernel's queue is full after one or two; what comes then is not answered
            visitor = visitors.enter_context(socket.socket())
            visitor.setblocking(False)
            visitor.connect_ex(listening.getsockname())

        error = error_of(lambda: post(f"http://127.0.0.1:{listening.getsockname()[1]}/"))

    assert isinstance(error, requests.ConnectTimeout)
    assert proves_nothing_was_sent(error)


def test_tls_against_a_plain_port_proves_that_nothing_was_sent() -> None:
    with server(speaks_plainly) as port:
        error = error_of(lambda: post(f"https://127.0.0.1:{port}/"))

    assert isinstance(error, requests.exceptions.SSLError)
    assert proves_nothing_was_sent(error)


@pytest.mark.parametrize("behave", [resets_in_the_handshake, hangs_up_in_the_handshake])
def test_a_handshake_that_breaks_proves_that_nothing_was_sent(behave: Callable[[socket.socket], None]) -> None:
    with server(behave) as port:
        error = error_of(lambda: post(f"https://127.0.0.1:{port}/"))

    assert proves_nothing_was_sent(error), error


def test_tls_that_breaks_after_the_request_was_sent_proves_nothing(tls_server: Callable[..., Any]) -> None:
    with tls_server(hangs_up) as (port, certificate):
        error = error_of(lambda: post(f"https://localhost:{port}/", verify=str(certificate)))

    assert not proves_nothing_was_sent(error), error


def test_a_certificate_that_nobody_vouches_for_proves_that_nothing_was_sent(tls_server: Callable[..., Any]) -> None:
    with tls_server(hangs_up) as (port, _):
        error = error_of(lambda: post(f"https://localhost:{port}/"))

    assert isinstance(error, requests.exceptions.SSLError)
    assert proves_nothing_was_sent(error)


@pytest.mark.parametrize("status", [401, 403, 404, 413, 429])
def test_an_answer_that_refuses_before_doing_anything_proves_it(status: int) -> None:
    with server(answering(status)) as port:
        error = error_of(lambda: post(f"http://127.0.0.1:{port}/"))

    assert proves_nothing_was_sent(error)
    assert of_status(status) == "not applied"


@pytest.mark.parametrize("url", ["", "no scheme", "gopher://x/", "http://"])
def test_an_address_that_is_none_proves_that_nothing_was_sent(url: str) -> None:
    assert proves_nothing_was_sent(error_of(lambda: post(url)))


def test_a_refused_port_proves_it_for_other_libraries_too(closed_port: int) -> None:
    def mail() -> None:
        smtplib.SMTP("127.0.0.1", closed_port, timeout=TIMEOUT)

    def open_url() -> None:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{closed_port}/", timeout=1)

    assert proves_nothing_was_sent(error_of(mail))
    assert proves_nothing_was_sent(error_of(open_url))


def test_a_name_that_leads_nowhere_proves_it_for_other_libraries_too() -> None:
    assert proves_nothing_was_sent(error_of(lambda: smtplib.SMTP("no-such-host.invalid", 25, timeout=TIMEOUT)))


def test_a_task_may_say_so_itself() -> None:
    assert proves_nothing_was_sent(NotApplied("the provider documents that 400 comes before any work"))


# Unknown


@pytest.mark.parametrize("status", [400, 408, 409, 422, 500, 502, 503, 504])
def test_any_other_answer_proves_nothing(status: int) -> None:
    with server(answering(status)) as port:
        error = error_of(lambda: post(f"http://127.0.0.1:{port}/"))

    assert isinstance(error, requests.HTTPError)
    assert not proves_nothing_was_sent(error)
    assert of_status(status) == "unknown"


@pytest.mark.parametrize("behave", [says_nothing, hangs_up, resets])
def test_a_connection_that_ends_without_an_answer_proves_nothing(behave: Callable[[socket.socket], None]) -> None:
    with server(behave) as port:
        error = error_of(lambda: post(f"http://127.0.0.1:{port}/"))

    assert not proves_nothing_was_sent(error), error


@pytest.mark.parametrize(
    ("body", "length"), [(b'{"id": 1', None), (b'{"id": 1', 100), (b"", None), (b"<html>published</html>", None)]
)
def test_a_success_that_cannot_be_read_proves_nothing(body: bytes, length: int | None) -> None:
    with server(answering(201, body, length)) as port:
        error = error_of(lambda: post(f"http://127.0.0.1:{port}/"))

    assert not proves_nothing_was_sent(error), error


def test_an_answer_that_drips_in_and_stops_proves_nothing() -> None:
    def drips(visitor: socket.socket) -> None:
        answering(201, b'{"id"', 100)(visitor)
        while visitor.recv(65536):
            pass

    with server(drips) as port:
        error = error_of(lambda: post(f"http://127.0.0.1:{port}/"))

    assert not proves_nothing_was_sent(error), error


@pytest.mark.parametrize(
    "error", [RuntimeError("?"), ValueError("connection refused"), KeyError("id"), TimeoutError(), OSError()]
)
def test_an_error_of_the_task_itself_proves_nothing(error: Exception) -> None:
    assert not proves_nothing_was_sent(error)


def test_what_happened_before_an_error_is_no_proof_for_it(closed_port: int) -> None:
    """A fallback that was refused says nothing about the first request, which timed out."""

    def post_with_fallback(port: int) -> None:
        try:
            post(f"http://127.0.0.1:{closed_port}/")
        except requests.ConnectionError:
            post(f"http://127.0.0.1:{port}/")

    with server(says_nothing) as port:
        error = error_of(lambda: post_with_fallback(port))

    assert not proves_nothing_was_sent(error)


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "applied"), (201, "applied"), (204, "applied"), (301, "unknown"), (100, "unknown")]
)
def test_a_status_has_one_class(status: int, outcome: str) -> None:
    assert of_status(status) == outcome
