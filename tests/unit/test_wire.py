"""What leaves a process inside the effect: every request that may change something is counted, and none goes out too late."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import requests

from clients import http
from gatekeeper.errors import LeaseExpired
from gatekeeper.run import http_guard
from gatekeeper.run.http_guard import SAFE, Wire
from gatekeeper.run.http_outcome import proves_nothing_was_sent
from state import dial
from state.ledger import owner
from tests.web_server import WebServer

METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "FROBNICATE"]


class Site:
    """A server that remembers the requests that arrived."""

    def __init__(self) -> None:
        self.seen = seen = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                seen.append(str(self.command))
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = WebServer(Handler).start()
        self.url = f"{self._server.url}/"

    def close(self) -> None:
        self._server.close()


@pytest.fixture(scope="module")
def one_site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def site(one_site: Site) -> Site:
    one_site.seen.clear()
    return one_site


def send(site: Site, method: str = "POST") -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.request(method, site.url, timeout=5)


@contextmanager
def attempt(*, lease_ms: float = math.inf, crossed: bool = True) -> Iterator[Wire]:
    """The wire of an attempt whose lease ends so long from now."""
    made = Wire(owner.boot_clock().ms + lease_ms)
    made.parent = http_guard.current.get()
    if crossed:
        made.begin_effect()
    token = http_guard.current.set(made)
    try:
        yield made
    finally:
        http_guard.current.reset(token)


# Counting


@pytest.mark.parametrize("method", METHODS)
def test_only_what_may_change_something_is_counted(site: Site, method: str) -> None:
    with attempt() as mine:
        send(site, method)

    assert mine.since_the_line == (0 if method in SAFE else 1)
    assert site.seen == [method]


def test_what_was_sent_before_the_effect_is_not_counted(site: Site) -> None:
    with attempt(crossed=False) as mine:
        send(site)
        mine.begin_effect()
        send(site)
        send(site)

    assert (mine.sent, mine.since_the_line) == (3, 2)


def test_requests_on_one_connection_are_counted_each(site: Site) -> None:
    with attempt() as mine, requests.Session() as session:
        session.trust_env = False
        for _ in range(3):
            session.post(site.url, data=b"text", timeout=5)

    assert mine.since_the_line == 3


def test_the_requests_of_an_attempt_inside_another_are_its_own_and_the_outer_s(site: Site) -> None:
    with attempt() as outer:
        with attempt() as inner:
            send(site)
        send(site)

    assert (inner.since_the_line, outer.since_the_line) == (1, 2)


def test_a_thread_that_belongs_to_no_attempt_may_have_sent_for_this_one(site: Site) -> None:
    with attempt() as mine:
        thread = threading.Thread(target=send, args=(site,))
        thread.start()
        thread.join(10)

    assert mine.since_the_line == 1


def test_another_attempt_s_requests_are_none_of_ours(site: Site) -> None:
    def other() -> None:
        with attempt():
            send(site)

    with attempt() as mine:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)

    assert mine.since_the_line == 0


# Too late


@pytest.mark.parametrize("lease_ms", [0, -1, -60_000])
def test_after_the_lease_nothing_is_sent_that_may_change_something(site: Site, lease_ms: float) -> None:
    with (
        attempt(lease_ms=lease_ms) as mine,
        pytest.raises(LeaseExpired, match="held up for longer than its lease") as raised,
    ):
        send(site)

    assert site.seen == []
    assert mine.since_the_line == 0
    assert proves_nothing_was_sent(raised.value, mine.since_the_line)


@pytest.mark.parametrize("method", sorted(SAFE))
def test_after_the_lease_asking_is_still_allowed(site: Site, method: str) -> None:
    with attempt(lease_ms=-1):
        send(site, method)

    assert site.seen == [method]


@pytest.mark.parametrize("method", sorted(set(METHODS) - SAFE))
def test_any_other_method_is_not_whatever_its_name(site: Site, method: str) -> None:
    with attempt(lease_ms=-1), pytest.raises(LeaseExpired):
        send(site, method)

    assert site.seen == []


def test_after_the_lease_the_client_says_so_before_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that wakes up slowly has not even the time for a connection, and that would be told instead."""

    def too_late(*_: Any) -> None:
        raise TimeoutError("no address answered in time")

    monkeypatch.setattr(dial, "connect", too_late)

    with attempt(lease_ms=-1), pytest.raises(LeaseExpired):
        http.request("POST", "http://127.0.0.1:9/")


def test_within_the_lease_and_before_the_effect_it_is_sent(site: Site) -> None:
    with attempt(lease_ms=60_000) as mine:
        assert 0 < mine.left_ms <= 60_000
        send(site)
    with attempt(lease_ms=-1, crossed=False) as before:
        assert before.left_ms == math.inf
        send(site)

    assert site.seen == ["POST", "POST"]


def test_a_lease_that_the_heartbeat_prolonged_counts(site: Site) -> None:
    with attempt(lease_ms=-1) as mine:
        with pytest.raises(LeaseExpired):
            send(site)
        mine.lease_ends_ms = owner.boot_clock().ms + 60_000
        send(site)

    assert site.seen == ["POST"]
    assert mine.since_the_line == 1


def test_an_earlier_request_keeps_a_late_one_from_proving_anything(site: Site) -> None:
    with attempt(lease_ms=60_000) as mine:
        send(site)
        mine.lease_ends_ms = 0
        with pytest.raises(LeaseExpired) as raised:
            send(site)

    assert site.seen == ["POST"]
    assert not proves_nothing_was_sent(raised.value, mine.since_the_line)


def test_an_attempt_inside_one_that_is_overdue_sends_nothing_either(site: Site) -> None:
    """Its request would be the outer effect's too."""
    with attempt(lease_ms=-1) as outer, attempt(lease_ms=60_000) as inner, pytest.raises(LeaseExpired):
        send(site)

    assert site.seen == []
    assert (outer.sent, inner.sent) == (0, 0)


def test_an_attempt_around_one_that_is_overdue_may_go_on(site: Site) -> None:
    with attempt(lease_ms=60_000) as outer:
        with attempt(lease_ms=-1), suppress(LeaseExpired):
            send(site)
        send(site)

    assert site.seen == ["POST"]
    assert outer.since_the_line == 1


def test_outside_every_attempt_nothing_is_held_back(site: Site) -> None:
    send(site)

    assert site.seen == ["POST"]
