"""What leaves the process without http.client counts as sent, and is kept from leaving after the lease."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from types import ModuleType
from typing import Any, ClassVar

import httpx
import pytest
import requests
import urllib3
from redis import Redis
from redis.sentinel import Sentinel
from requests.exceptions import ConnectionError as RequestsConnectionError
from urllib3.connection import HTTPConnection

import settings
from clients.text import confined, markdown
from gatekeeper.errors import LeaseExpired
from gatekeeper.run import sockets
from gatekeeper.run.http_outcome import proves_nothing_was_sent
from gatekeeper.run.sockets import is_own
from state.redis import client as store
from tests.harness import Valkey
from tests.unit.test_wire import attempt
from tests.web_server import WebServer

#: Nobody listens here.
REFUSING = "http://127.0.0.1:9/"


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open, and remembers what came."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.seen.append(self.path)
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = WebServer(Handler).start()
    yield f"{server.url}/"
    server.close()


def by_httpx(url: str) -> None:
    httpx.post(url, json={})


def by_an_async_client(url: str) -> None:
    async def send() -> None:
        async with httpx.AsyncClient() as client:
            await client.post(url, json={})

    asyncio.run(send())


def by_asyncio_streams(url: str) -> None:
    async def send() -> None:
        target = httpx.URL(url)
        reader, writer = await asyncio.open_connection(target.host, target.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        await reader.readline()
        writer.close()

    asyncio.run(send())


def by_a_raw_socket(url: str) -> None:
    target = httpx.URL(url)
    with socket.create_connection((target.host, target.port)) as mine:
        mine.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        mine.recv(100)


def by_a_datagram(url: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
        mine.sendto(b"effect", ("127.0.0.1", httpx.URL(url).port))


def by_another_program(_: str) -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def by_the_shell(_: str) -> None:
    os.system("true")


def by_a_thread_without_context(url: str) -> None:
    thread = threading.Thread(target=by_httpx, args=(url,))
    thread.start()
    thread.join()


def by_http_2_of_urllib3(url: str) -> None:
    """Its connection stands on http.client, and sends past it."""

    class Http2(HTTPConnection):
        def send(self, data: Any) -> None:
            raise NotImplementedError

    connection = Http2("127.0.0.1", httpx.URL(url).port)
    connection.connect()
    connection.close()


UNCOUNTED = [
    by_httpx,
    by_an_async_client,
    by_asyncio_streams,
    by_a_raw_socket,
    by_a_datagram,
    by_another_program,
    by_the_shell,
    by_a_thread_without_context,
    by_http_2_of_urllib3,
]
Send = Callable[[str], None]

#: A thread without context has no lease.
IN_CONTEXT = [each for each in UNCOUNTED if each is not by_a_thread_without_context]


@pytest.mark.parametrize("send", UNCOUNTED)
def test_after_it_no_refused_connection_proves_anything(url: str, send: Send) -> None:
    with attempt() as mine:
        send(url)
        with pytest.raises(RequestsConnectionError) as raised:
            requests.post(REFUSING, timeout=5)

    assert mine.since_the_line >= 1
    assert not proves_nothing_was_sent(raised.value, mine.since_the_line)


@pytest.mark.parametrize("send", IN_CONTEXT)
def test_after_the_lease_it_is_not_sent(url: str, send: Send) -> None:
    Handler.seen.clear()

    with attempt(lease_ms=-1) as mine, pytest.raises((LeaseExpired, ExceptionGroup)) as raised:
        send(url)

    assert Handler.seen == []
    assert proves_nothing_was_sent(raised.value, mine.since_the_line)


@pytest.mark.parametrize("send", UNCOUNTED)
def test_before_the_effect_it_is_nobody_s_business(url: str, send: Send) -> None:
    with attempt(lease_ms=-1, crossed=False):
        send(url)


# Connections that were open before


def test_what_goes_over_a_connection_that_was_open_before_the_effect_counts(url: str) -> None:
    with httpx.Client() as client:
        client.get(url)

        with attempt() as mine:
            client.post(url, json={})
            with pytest.raises(RequestsConnectionError) as raised:
                requests.post(REFUSING, timeout=5)

            assert not proves_nothing_was_sent(raised.value, mine.since_the_line)


def test_a_connection_that_is_open_and_not_used_takes_no_proof_away(url: str) -> None:
    with httpx.Client() as client:
        client.get(url)

        with attempt() as mine:
            with pytest.raises(RequestsConnectionError) as raised:
                requests.post(REFUSING, timeout=5)

            assert proves_nothing_was_sent(raised.value, mine.since_the_line)


def test_a_connection_that_was_closed_meanwhile_may_have_carried_something(url: str) -> None:
    client = httpx.Client()
    client.get(url)

    with attempt() as mine:
        client.close()

        assert mine.since_the_line == 1


def test_a_connection_that_was_closed_before_is_forgotten(url: str) -> None:
    by_httpx(url)

    with attempt() as mine:
        pass

    assert mine.since_the_line == 0


# What does not count


def test_requests_that_are_counted_are_counted_once(url: str) -> None:
    with attempt() as mine:
        requests.post(url, json={}, timeout=5)
        urllib3.PoolManager().request("POST", url)
        requests.get(url, timeout=5)

    assert mine.since_the_line == 2


def test_a_refused_connection_of_requests_stays_proof() -> None:
    with attempt() as mine, pytest.raises(RequestsConnectionError) as raised:
        requests.post(REFUSING, timeout=5)

    assert proves_nothing_was_sent(raised.value, mine.since_the_line)


def test_our_own_redis_is_no_effect_and_another_one_is(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "is_own", is_own)
    another, own = Redis.from_url(valkey.url), Redis.from_url(valkey.url)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")

    with attempt() as mine:
        another.ping()
    assert mine.since_the_line == 1
    another.close()

    monkeypatch.setenv("REDIS_URL", valkey.url)
    settings.current.cache_clear()
    with attempt() as mine:
        own.ping()
    assert mine.since_the_line == 0
    own.close()


def test_a_program_of_ours_that_reads_a_stranger_s_text_is_no_effect() -> None:
    with attempt() as mine:
        assert confined.call(markdown.to_html, "*hello*")

    assert mine.since_the_line == 0


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.current.cache_clear()
    yield
    monkeypatch.undo()
    settings.current.cache_clear()


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6380/2",
        "redis://:pass@example.org",
        "redis://[::1]:7000/0",
        "rediss://example.org:6380",
        "unix:///run/some%20where/r.sock?db=3",
        "unix://user:pass@/run/r.sock",
    ],
)
def test_the_connection_of_every_address_is_known_as_our_own(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    settings.current.cache_clear()

    assert is_own(store.client(settings.current().redis_url).connection_pool.make_connection())
    assert not is_own(Redis(host="example.com").connection_pool.make_connection())
    assert not is_own(Redis(unix_socket_path="/run/other.sock").connection_pool.make_connection())


def test_sentinels_and_the_primary_to_which_they_lead_are_known_as_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "sentinel://127.0.0.1:1,127.0.0.1:2?master=gate")
    settings.current.cache_clear()
    led, elsewhere = (Sentinel([("127.0.0.1", 2)]).master_for(name).connection_pool for name in ("gate", "other"))
    for pool in (led, elsewhere):
        pool.proxy.master_address = ("10.0.0.7", 6379)

    assert is_own(Redis(host="127.0.0.1", port=1).connection_pool.make_connection())
    for pool, ours in ((led, True), (elsewhere, False)):
        connection = pool.make_connection()
        connection.host, connection.port = "10.0.0.7", 6379
        assert is_own(connection) is ours
    assert not is_own(Redis(host="10.0.0.7").connection_pool.make_connection())


@pytest.mark.parametrize("module", ["pycurl", "grpc"])
def test_while_a_library_is_loaded_that_nobody_sees_send_nothing_is_proof(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, ModuleType(module))

    with attempt() as mine, pytest.raises(RequestsConnectionError) as raised:
        requests.post(REFUSING, timeout=5)

    assert not proves_nothing_was_sent(raised.value, mine.since_the_line)
