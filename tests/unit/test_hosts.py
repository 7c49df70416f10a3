"""Hosts that this server answers to, and requests that were made on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request

import settings
from web import hosts


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    chosen = replace(settings.current(), web_host="here.lan", public_url="https://out.example:8443/way")
    monkeypatch.setattr(settings, "current", lambda: chosen)
    hosts._our_names.cache_clear()
    yield
    hosts._our_names.cache_clear()


def host(*values: str) -> str | None:
    return hosts.read(Headers(raw=[(b"host", value.encode("latin-1")) for value in values]))


@pytest.mark.parametrize(
    "given",
    ["localhost", "localhost:8000", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.1.2.3:80", "[::1]:8000",
     "10.0.0.7", "[2001:db8::1]", "here.lan:1", "out.example", "OUT.example:8443", ""],
)  # fmt: skip
def test_our_names_and_every_address_are_ours(given: str) -> None:
    assert hosts.is_ours(host(given))


@pytest.mark.parametrize(
    "given",
    ["evil.example", "localhost.evil.example", "evillocalhost", "notout.example", "out.example.evil.example", "0x7f000001",
     "127.1", "user@localhost", "localhost/", "localhost#", "[::1", "::1", "localhost:", "localhost:80:80", " ", "ü",
     "127.0.0.1\x00", "127.0.0.1 evil.example", "127.0.0.1,evil.example", ".", "-"],
)  # fmt: skip
def test_other_names_and_malformed_names_are_not_ours(given: str) -> None:
    assert not hosts.is_ours(host(given))


def test_two_host_headers_are_refused_and_none_is_empty() -> None:
    assert host("localhost", "localhost") is None
    assert host() == ""


@pytest.mark.parametrize(
    ("client", "headers", "direct"),
    [
        ("127.0.0.1", {"host": "localhost:8000"}, True),
        ("::1", {"host": "[::1]:8000"}, True),
        ("::ffff:127.0.0.1", {"host": "127.0.0.1"}, True),
        ("127.0.0.1", {"host": "out.example"}, False),
        ("127.0.0.1", {"host": "10.0.0.7"}, False),
        ("127.0.0.1", {}, False),
        ("10.0.0.7", {"host": "localhost"}, False),
        ("", {"host": "localhost"}, False),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-server": "x"}, False),
        ("127.0.0.1", {"host": "localhost", "via": "1.1 x"}, False),
        ("127.0.0.1", {"host": "localhost", "forwarded": ""}, False),
    ],
)
def test_a_request_is_local_only_if_nothing_shows_another_machine(
    client: str, headers: dict[str, str], *, direct: bool
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "headers": raw, "client": (client, 1) if client else None}

    assert hosts.is_direct_and_local(Request(scope)) is direct
