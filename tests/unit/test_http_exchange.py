"""What a server answers is bounded: packed or not, in odd encodings, with endless headers, from silent addresses."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from requests.exceptions import ConnectionError, ConnectTimeout, ContentDecodingError, HTTPError, RequestException  # noqa: A004
from urllib3.exceptions import NameResolutionError

from clients import http
from clients.http import body, certificate, exchange
from clients.http.deadline import MAX_HEAD
from gatekeeper.run import retry_after
from gatekeeper.run.http_outcome import proves_nothing_was_sent
from state import dial
from state.redis import connections
from tests.unit.beat import Beat
from tests.unit.feed_server import FeedServer

#: Seconds that a bound of a few may take on a machine where others work too.
GENEROUS = 10.0


@pytest.fixture
def server() -> Iterator[FeedServer]:
    one = FeedServer()
    yield one
    one.close()


def answer(server: FeedServer, content: bytes, **headers: str) -> Any:
    server.pages["/a"] = (200, {name.replace("_", "-"): value for name, value in headers.items()}, content)
    return http.request("GET", server.url("/a"))


# Its outcome in the log


@pytest.mark.parametrize(
    ("status", "question", "effect"),
    [
        (200, "applied", "applied"),
        (304, "not applied", "unknown"),
        (400, "failed", "unknown"),
        (401, "not applied", "not applied"),
        (429, "not applied", "not applied"),
        (500, "failed", "unknown"),
    ],
)
def test_only_a_request_of_an_effect_has_an_unknown_outcome(
    server: FeedServer, monkeypatch: pytest.MonkeyPatch, status: int, question: str, effect: str
) -> None:
    server.pages["/a"] = (status, {}, b"")
    attempt = Mock(phase="before", wire=Mock(left_ms=10_000), call=Mock(log_fields=dict))
    monkeypatch.setattr(exchange, "current_or_none", lambda: attempt)

    def outcome(method: str) -> str:
        with contextlib.suppress(HTTPError):
            http.request(method, server.url("/a"))
        assert attempt.append_event.call_args.args == ("http",)
        return str(attempt.append_event.call_args.kwargs["outcome"])

    assert (outcome("GET"), outcome("POST")) == (question, question)
    attempt.phase = "sending"
    assert (outcome("GET"), outcome("POST")) == (question, effect)


# Packed


@pytest.mark.parametrize(
    ("packing", "packed"),
    [
        ("gzip", gzip.compress(b"words", mtime=0)),
        ("GZIP", gzip.compress(b"wo", mtime=0) + gzip.compress(b"rds", mtime=0)),
        ("x-gzip", gzip.compress(b"words", mtime=0)),
        ("deflate", zlib.compress(b"words")),
        ("identity", b"words"),
        ("gzip", b""),
    ],
)
def test_a_packed_answer_is_unpacked(server: FeedServer, packing: str, packed: bytes) -> None:
    assert answer(server, packed, Content_Encoding=packing).content == (b"words" if packed else b"")


@pytest.mark.parametrize("packing", ["gzip, gzip", "br", "zstd", "gzip," * 1_000, "compress", "x"])
def test_an_answer_packed_twice_or_in_another_way_is_refused(server: FeedServer, packing: str) -> None:
    with pytest.raises(ContentDecodingError, match="packed as"):
        answer(server, gzip.compress(gzip.compress(b"words", mtime=0)), Content_Encoding=packing)


def test_an_answer_that_unpacks_to_very_much_is_refused_before_it_does(server: FeedServer) -> None:
    packer, bomb = zlib.compressobj(9, wbits=31), b""
    for _ in range(256):
        bomb += packer.compress(bytes(1024 * 1024))
    bomb += packer.flush()

    with Beat() as beat, pytest.raises(ContentDecodingError, match="larger than"):
        answer(server, bomb, Content_Encoding="gzip")

    assert beat.longest_silence < GENEROUS


@pytest.mark.parametrize("damaged", [gzip.compress(b"words" * 100, mtime=0)[:-20], b"no gzip at all"])
def test_a_damaged_packing_is_told(server: FeedServer, damaged: bytes) -> None:
    with pytest.raises(ContentDecodingError, match="cannot be unpacked"):
        answer(server, damaged, Content_Encoding="gzip")


def test_a_large_answer_is_refused_unpacked_too(server: FeedServer) -> None:
    with pytest.raises(ContentDecodingError, match="larger than"):
        answer(server, bytes(body.MAX_BODY + 1))


# Encodings


@pytest.mark.parametrize("name", ["punycode", "idna", "utf-7", "unicode_escape", "zip", "hex", "undefined", "nosuch"])
def test_an_odd_encoding_takes_no_time_for_the_log_nor_for_the_caller(server: FeedServer, name: str) -> None:
    content = b"a-" + b"9" * 1_000_000

    with Beat() as beat:
        got = answer(server, content, Content_Type=f"text/html; charset={name}")
        assert got.text == content.decode()

    assert beat.longest_silence < GENEROUS


def test_an_encoding_of_the_web_is_decoded_as_it_says(server: FeedServer) -> None:
    assert answer(server, "Grüße".encode("latin-1"), Content_Type="text/plain; charset=iso-8859-1").text == "Grüße"
    assert answer(server, "Grüße".encode(), Content_Type="text/plain").text == "Grüße"


# Headers


def raw_server(*pieces: bytes, times: int = 1, wait: float = 0) -> Iterator[int]:
    """Answers every connection with these bytes, the last of them so many times."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65_536)
                        for piece in [*pieces[:-1], *pieces[-1:] * times]:
                            connection.sendall(piece)
                            time.sleep(wait)
            except OSError:
                return  # the client hung up, or the test is over

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def test_endless_headers_are_refused() -> None:
    line = b"X-A: " + b"a" * 60_000 + b"\r\n"

    for port in raw_server(b"HTTP/1.1 200 OK\r\n", line, times=90):
        with pytest.raises(ConnectionError, match=str(MAX_HEAD)):
            http.request("GET", f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("interim", [(100,), (102,), (103,), (103, 103), (100, 102, 103, 199)])
def test_an_interim_answer_is_not_the_answer(method: str, interim: tuple[int, ...]) -> None:
    hints = b"".join(b"HTTP/1.1 %d Soon\r\nLink: </a.css>; rel=preload\r\n\r\n" % status for status in interim)
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwords"

    for port in raw_server(hints + final):
        got = http.request(method, f"http://127.0.0.1:{port}/")

    assert (got.status_code, got.content) == (200, b"words")
    assert "Link" not in got.headers


def test_interim_answers_without_end_are_refused() -> None:
    for port in raw_server(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", times=20_000):
        with pytest.raises(ConnectionError, match=str(MAX_HEAD)):
            http.request("GET", f"http://127.0.0.1:{port}/")


def test_an_answer_that_only_announces_itself_is_no_answer() -> None:
    for port in raw_server(b"HTTP/1.1 103 Early Hints\r\n\r\n"):
        with pytest.raises(ConnectionError) as raised:
            http.request("POST", f"http://127.0.0.1:{port}/")
        assert not proves_nothing_was_sent(raised.value, requests_sent=1)


@pytest.mark.parametrize("cookie", ["expires=" + " 1" * 30_000, '="' + "\\" * 60_000, "a=b;" * 15_000, "=" * 60_000])
def test_cookies_are_not_parsed(server: FeedServer, cookie: str) -> None:
    with Beat() as beat:
        got = answer(server, b"words", Set_Cookie=cookie)

    assert got.content == b"words"
    assert not got.cookies
    assert beat.longest_silence < GENEROUS


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("9" * 400, None),
        ("9" * 60_000, None),
        ("1e400", None),
        ("nan", None),
        ("-5", 0.0),
        ("7", 7.0),
        ("a, " * 20_000, None),
    ],
)
def test_a_pause_of_any_length_is_read(said: str, seconds: float | None) -> None:
    found = retry_after.seconds({"Retry-After": said, "Date": "x" * 60_000})

    assert found == seconds or (found is not None and seconds is None and found > 0)


def test_an_answer_that_drips_ends_at_its_deadline() -> None:
    for port in raw_server(b"HTTP/1.1 200 OK\r\n", b"X", times=10_000, wait=0.05):
        started = time.monotonic()
        with pytest.raises(RequestException):
            http.request("GET", f"http://127.0.0.1:{port}/", timeout=1)
        assert time.monotonic() - started < GENEROUS


# Addresses


@pytest.fixture
def silent() -> Iterator[int]:
    """A port on which every connection waits for ever: whoever listens has its hands full."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(64):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            waiting.append(one)
        time.sleep(0.2)  # the kernel puts them into the queue
        yield port
        for one in waiting:
            one.close()


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """A name server's answer; literal addresses go on meaning themselves."""
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "many.example":
            return real(host, port, *args, **options)
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_eight_silent_addresses_take_one_timeout(monkeypatch: pytest.MonkeyPatch, silent: int) -> None:
    resolves_to(monkeypatch, *[(f"127.0.0.{n}", silent) for n in range(1, 9)])
    started = time.monotonic()

    with pytest.raises(ConnectTimeout) as raised:
        http.request("GET", f"http://many.example:{silent}/", timeout=2)

    assert 1.5 < time.monotonic() - started < GENEROUS
    assert proves_nothing_was_sent(raised.value, requests_sent=0)


def test_an_address_that_answers_is_reached_past_silent_ones(
    monkeypatch: pytest.MonkeyPatch, silent: int, server: FeedServer
) -> None:
    resolves_to(monkeypatch, *[(f"127.0.0.{n}", silent) for n in range(1, 4)], ("127.0.0.1", server.port))
    server.pages["/a"] = (200, {}, b"words")

    assert http.request("GET", "http://many.example/a", timeout=GENEROUS).content == b"words"


def test_a_name_server_that_is_silent_takes_one_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def look_up(host: str, *args: Any, **options: Any) -> Any:
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "at last")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    started = time.monotonic()

    with pytest.raises(ConnectionError) as raised:
        http.request("GET", "http://slow.example/", timeout=1)
    with pytest.raises(OSError, match="not resolved in time"):
        certificate.good_until("slow.example", 443, 1)

    over.set()
    assert time.monotonic() - started < GENEROUS
    assert isinstance(raised.value.args[0].reason, NameResolutionError)
    assert proves_nothing_was_sent(raised.value, requests_sent=0)


def test_a_redis_with_eight_silent_addresses_takes_one_timeout(monkeypatch: pytest.MonkeyPatch, silent: int) -> None:
    resolves_to(monkeypatch, *[(f"127.0.0.{n}", silent) for n in range(1, 9)])
    client = connections.with_deadline(
        Redis(host="many.example", port=silent, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
    )
    started = time.monotonic()

    with client, pytest.raises(RedisError):
        client.ping()

    assert 0.8 < time.monotonic() - started < GENEROUS / 2


def test_a_refused_connection_is_told_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    started = time.monotonic()

    with pytest.raises(ConnectionRefusedError):
        dial.connect("127.0.0.1", port, 60)

    assert time.monotonic() - started < GENEROUS


def test_a_literal_address_needs_no_name_server(server: FeedServer) -> None:
    with dial.connect("127.0.0.1", server.port, 5) as connected:
        assert connected.getpeername() == ("127.0.0.1", server.port)
