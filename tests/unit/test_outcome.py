"""What an exception inside the effect proves, with the exceptions that real sockets raise."""

from __future__ import annotations

import shutil
import smtplib
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from gatekeeper.errors import NotApplied
from gatekeeper.run import http_guard
from gatekeeper.run.http_outcome import of_status, proves_nothing_was_sent

TIMEOUT = 0.3


def post(url: str, **options: Any) -> Any:
    """What a task does inside the effect: send, look at the status, read the answer."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(url, json={"text": "hello"}, timeout=TIMEOUT, **options)
        answer.raise_for_status()
        return answer.json()


class Seen(NamedTuple):
    """How an action inside the effect failed, and how many requests had gone out by then."""

    error: Exception
    requests_sent: int

    @property
    def proves_nothing_was_sent(self) -> bool:
        return proves_nothing_was_sent(self.error, self.requests_sent)


def seen_of(action: Callable[[], Any]) -> Seen:
    inside_the_effect = http_guard.Wire()
    token = http_guard.current.set(inside_the_effect)
    inside_the_effect.begin_effect()
    try:
        error = error_of(action)
    finally:
        http_guard.current.reset(token)
    return Seen(error, inside_the_effect.since_the_line)


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
    assert seen_of(lambda: post(f"http://127.0.0.1:{closed_port}/")).proves_nothing_was_sent


def test_a_name_that_leads_nowhere_proves_that_nothing_was_sent() -> None:
    assert seen_of(lambda: post("http://no-such-host.invalid/")).proves_nothing_was_sent


def test_a_server_that_does_not_accept_proves_that_nothing_was_sent() -> None:
    with socket.socket() as listening, ExitStack() as visitors:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(8):  # the kernel's queue is full after one or two; what comes then is not answered
            visitor = visitors.enter_context(socket.socket())
            visitor.setblocking(False)
            visitor.connect_ex(listening.getsockname())

        seen = seen_of(lambda: post(f"http://127.0.0.1:{listening.getsockname()[1]}/"))

    assert isinstance(seen.error, requests.ConnectTimeout)
    assert seen.proves_nothing_was_sent, seen


def test_tls_against_a_plain_port_proves_that_nothing_was_sent() -> None:
    with server(speaks_plainly) as port:
        seen = seen_of(lambda: post(f"https://127.0.0.1:{port}/"))

    assert isinstance(seen.error, requests.exceptions.SSLError)
    assert seen.proves_nothing_was_sent, seen


@pytest.mark.parametrize("behave", [resets_in_the_handshake, hangs_up_in_the_handshake])
def test_a_handshake_that_breaks_proves_that_nothing_was_sent(behave: Callable[[socket.socket], None]) -> None:
    with server(behave) as port:
        seen = seen_of(lambda: post(f"https://127.0.0.1:{port}/"))

    assert seen.proves_nothing_was_sent, seen


def test_tls_that_breaks_after_the_request_was_sent_proves_nothing(tls_server: Callable[..., Any]) -> None:
    with tls_server(hangs_up) as (port, certificate):
        seen = seen_of(lambda: post(f"https://localhost:{port}/", verify=str(certificate)))

    assert not seen.proves_nothing_was_sent, seen


def test_a_certificate_that_nobody_vouches_for_proves_that_nothing_was_sent(tls_server: Callable[..., Any]) -> None:
    with tls_server(hangs_up) as (port, _):
        seen = seen_of(lambda: post(f"https://localhost:{port}/"))

    assert isinstance(seen.error, requests.exceptions.SSLError)
    assert seen.proves_nothing_was_sent, seen


@pytest.mark.parametrize("status", [401, 403, 404, 413, 429])
def test_an_answer_that_refuses_before_doing_anything_proves_it(status: int) -> None:
    with server(answering(status)) as port:
        seen = seen_of(lambda: post(f"http://127.0.0.1:{port}/"))

    assert seen.proves_nothing_was_sent, seen
    assert of_status(status) == "not applied"


@pytest.mark.parametrize("url", ["", "no scheme", "gopher://x/", "http://"])
def test_an_address_that_is_none_proves_that_nothing_was_sent(url: str) -> None:
    assert seen_of(lambda: post(url)).proves_nothing_was_sent


def test_a_task_may_say_so_itself() -> None:
    assert proves_nothing_was_sent(NotApplied("the provider documents that 400 comes before any work"), 1)


# Unknown


@pytest.mark.parametrize("status", [400, 408, 409, 422, 500, 502, 503, 504])
def test_any_other_answer_proves_nothing(status: int) -> None:
    with server(answering(status)) as port:
        seen = seen_of(lambda: post(f"http://127.0.0.1:{port}/"))

    assert isinstance(seen.error, requests.HTTPError)
    assert not seen.proves_nothing_was_sent, seen
    assert of_status(status) == "unknown"


@pytest.mark.parametrize("behave", [says_nothing, hangs_up, resets])
def test_a_connection_that_ends_without_an_answer_proves_nothing(behave: Callable[[socket.socket], None]) -> None:
    with server(behave) as port:
        seen = seen_of(lambda: post(f"http://127.0.0.1:{port}/"))

    assert not seen.proves_nothing_was_sent, seen


@pytest.mark.parametrize(
    ("body", "length"), [(b'{"id": 1', None), (b'{"id": 1', 100), (b"", None), (b"<html>published</html>", None)]
)
def test_a_success_that_cannot_be_read_proves_nothing(body: bytes, length: int | None) -> None:
    with server(answering(201, body, length)) as port:
        seen = seen_of(lambda: post(f"http://127.0.0.1:{port}/"))

    assert not seen.proves_nothing_was_sent, seen


def test_an_answer_that_drips_in_and_stops_proves_nothing() -> None:
    def drips(visitor: socket.socket) -> None:
        answering(201, b'{"id"', 100)(visitor)
        while visitor.recv(65536):
            pass

    with server(drips) as port:
        seen = seen_of(lambda: post(f"http://127.0.0.1:{port}/"))

    assert not seen.proves_nothing_was_sent, seen


@pytest.mark.parametrize(
    "error", [RuntimeError("?"), ValueError("connection refused"), KeyError("id"), TimeoutError(), OSError()]
)
def test_an_error_of_the_task_itself_proves_nothing(error: Exception) -> None:
    assert not proves_nothing_was_sent(error, 0)


def test_a_connection_of_a_library_whose_requests_nobody_counts_proves_nothing(closed_port: int) -> None:
    """A mail may have gone out before the second connection was refused."""
    assert not seen_of(lambda: smtplib.SMTP("127.0.0.1", closed_port, timeout=TIMEOUT)).proves_nothing_was_sent


def test_a_fallback_that_is_not_answered_proves_nothing_after_a_refusal(closed_port: int) -> None:
    with server(says_nothing) as port:
        seen = seen_of(lambda: post_to_either(closed_port, port))

    assert not seen.proves_nothing_was_sent, seen


@pytest.mark.parametrize("status", [401, 429])
def test_a_fallback_that_refuses_proves_nothing_after_a_request_that_was_not_answered(status: int) -> None:
    with server(says_nothing) as silent, server(answering(status)) as refusing:
        seen = seen_of(lambda: post_to_either(silent, refusing))

    assert seen.requests_sent == 2
    assert not seen.proves_nothing_was_sent, seen


def test_a_fallback_that_is_refused_proves_nothing_after_a_request_that_was_not_answered(closed_port: int) -> None:
    with server(says_nothing) as silent:
        seen = seen_of(lambda: post_to_either(silent, closed_port))

    assert seen.requests_sent == 1
    assert not seen.proves_nothing_was_sent, seen


def test_two_refused_ports_prove_that_nothing_was_sent(closed_port: int) -> None:
    assert seen_of(lambda: post_to_either(closed_port, closed_port)).proves_nothing_was_sent


def post_to_either(port: int, fallback: int) -> None:
    try:
        post(f"http://127.0.0.1:{port}/")
    except requests.RequestException:
        post(f"http://127.0.0.1:{fallback}/")


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "applied"), (201, "applied"), (204, "applied"), (301, "unknown"), (100, "unknown")]
)
def test_a_status_has_one_class(status: int, outcome: str) -> None:
    assert of_status(status) == outcome
