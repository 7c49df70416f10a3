"""The proxy of the torture: what it keeps arrives, what it loses does not, and the target never notices."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.harness import patient, until
from tests.torture.proxied import Proxied


class Echo:
    """Answers each line with itself, and remembers them all."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with closing(client), client.makefile("r") as lines:
            for line in lines:
                self.lines.append(line.strip())
                try:
                    client.sendall(line.encode())
                except OSError:
                    return


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo, tmp_path: Path) -> Iterator[Proxied]:
    made = Proxied("proxy", echo.target, tmp_path, seed=1)
    yield made
    made.close()


def connect(proxy: Proxied) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=patient(5))


def ask(client: socket.socket, line: str) -> str:
    client.sendall(f"{line}\n".encode())
    return client.recv(100).decode().strip()


def test_bytes_pass_both_ways(proxy: Proxied) -> None:
    with connect(proxy) as client:
        assert ask(client, "hello") == "hello"


def test_what_a_client_sent_before_it_died_arrives_when_it_is_let_go(proxy: Proxied, echo: Echo) -> None:
    proxy.order(up="hold")
    with connect(proxy) as client:
        client.sendall(b"last words\n")
        until(lambda: proxy.held == 11, what="the proxy to have it")
    assert echo.lines == []

    proxy.order(up="pass")

    until(lambda: echo.lines == ["last words"], what="the words to arrive")


def test_connections_that_are_kept_stay_so_while_others_pass(proxy: Proxied, echo: Echo) -> None:
    with connect(proxy) as kept:
        ask(kept, "hello")
        proxy.keep(kept=True)
        kept.sendall(b"kept\n")
        with connect(proxy) as other:
            assert ask(other, "other") == "other"
        assert echo.lines == ["hello", "other"]

        proxy.keep(kept=False)

        assert kept.recv(100) == b"kept\n"


def test_a_lost_answer_is_a_reset_and_the_target_did_its_work(proxy: Proxied, echo: Echo) -> None:
    proxy.order(lose=1)
    with connect(proxy) as client, pytest.raises(ConnectionError):
        ask(client, "do it")

    assert echo.lines == ["do it"]
    assert proxy.lost == 1
    with connect(proxy) as client:
        assert ask(client, "again") == "again"


def test_a_cut_resets_the_client(proxy: Proxied) -> None:
    with connect(proxy) as client:
        ask(client, "hello")
        proxy.cut()
        with pytest.raises(ConnectionError):
            client.recv(100)


def test_a_half_closed_client_can_still_send(proxy: Proxied, echo: Echo) -> None:
    with connect(proxy) as client:
        ask(client, "hello")
        proxy.half_close()
        assert client.recv(100) == b""
        client.sendall(b"still here\n")

        until(lambda: echo.lines == ["hello", "still here"], what="the line to arrive")


def test_a_closed_door_refuses_and_opens_on_the_same_port(proxy: Proxied) -> None:
    proxy.listen(listening=False)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)

    proxy.listen(listening=True)

    with connect(proxy) as client:
        assert ask(client, "hello") == "hello"


def test_a_connection_is_reset_after_so_many_bytes_of_answer(proxy: Proxied) -> None:
    with proxy.while_ordered(reset_after=10), connect(proxy) as client:
        assert ask(client, "short") == "short"
        with pytest.raises(ConnectionError):
            ask(client, "too long")
