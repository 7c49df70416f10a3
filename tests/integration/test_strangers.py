"""Strangers at the web process: without its signed address a call is hidden, and a foreign Host is refused."""

from __future__ import annotations

import json
import stat
import sys
from typing import Any

import pytest

from tests import senders
from tests.harness import Install, until
from tests.harness.install import ROOT, http_status
from tests.harness.ports import free_ports
from tests.harness.process import Process
from tests.harness.shell import Shell
from tests.senders import Answer

HUB = "It's-a-secret"
PUBLIC = "https://gatehouse.example.org"
#: The headers that a proxy passes on.
ELSEWHERE = {"Host": "gatehouse.example.org", "X-Forwarded-For": "203.0.113.7"}


def start_web(house: Install) -> Process:
    options = ["--app-dir", str(ROOT / "tests" / "tables"), "--port", str(house.web_port), "--log-level", "warning"]
    web = house.start("web", [sys.executable, "-m", "uvicorn", "web.app:app", *options])
    until(lambda: http_status(f"{house.web_url}/healthz") == 200, 30, "the web process")
    return web


@pytest.fixture(scope="module", autouse=True)
def web(house: Install) -> Process:
    house.env |= {"WEBHOOK_SECRET_FORGE": HUB, "PUBLIC_URL": PUBLIC}
    web = start_web(house)
    house.worker()
    return web


def get(house: Install, path: str, **headers: str) -> Answer:
    return senders.send(f"{house.web_url}{path}", b"", headers, "GET")


def deliver(house: Install, delivery: str) -> str:
    """Deliver a webhook, wait until its call has ended, and return the signed path of the call's page."""
    body = json.dumps({"kind": "add", "id": delivery, "a": 20, "b": 22}).encode()
    answer = senders.send(f"{house.web_url}/hooks/forge", body, senders.generic(HUB, body, "X-Forge-Signature"))
    assert answer.status in {202, 200}, answer
    assert answer.content["status_url"].startswith(f"{PUBLIC}/calls/hook%3Aforge%3A{delivery}?sig=")
    path = str(answer.content["status_url"]).removeprefix(PUBLIC)
    until(lambda: get(house, path).content["state"] == "done", 20, "the end of the call")
    return path


def test_the_signed_address_shows_the_whole_call_also_through_a_proxy(house: Install) -> None:
    path = deliver(house, "whole")

    for headers in ({}, ELSEWHERE):
        assert get(house, path, **headers).content == {
            "call": "hook:forge:whole", "agent": "counter", "task": "counter.add",
            "key": "counter.add:hook:forge:whole", "state": "done", "result": 42, "answer": None,
        }  # fmt: skip


def test_an_id_alone_shows_this_machine_how_far_the_call_is_but_not_its_result(house: Install) -> None:
    deliver(house, "bare")

    seen = get(house, "/calls/hook:forge:bare")

    assert seen.status == 200
    assert seen.content == {"call": "hook:forge:bare", "agent": "counter", "task": "counter.add", "state": "done"}


@pytest.mark.parametrize(
    "headers",
    [
        ELSEWHERE,
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Host": "localhost"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "203.0.113.7"},
        {"Via": "1.1 proxy"},
        {"Host": "gatehouse.example.org"},
        {"Host": "192.0.2.1:8000"},
    ],
    ids=str,
)
def test_an_id_alone_does_not_show_a_stranger_whether_the_call_exists(house: Install, headers: dict[str, str]) -> None:
    deliver(house, "guessed")

    known, unknown = (get(house, f"/calls/hook:forge:{name}", **headers) for name in ("guessed", "nobody"))

    assert known.status == unknown.status == 401
    assert known.body == unknown.body
    assert "status_url" in known.content["detail"]


def test_a_signature_opens_its_own_call_and_no_other(house: Install) -> None:
    signature = deliver(house, "mine").partition("?")[2]
    deliver(house, "theirs")

    for given in (signature, "sig=", "sig=x", "sig=gr%C3%BC%C3%9F", f"{signature}x", "sig=%00", "sig=x&sig=y"):
        assert get(house, f"/calls/hook:forge:theirs?{given}").status == 401, given
        assert get(house, f"/calls/hook:forge:theirs?{given}", **ELSEWHERE).status == 401, given


def test_the_guessable_id_of_a_schedule_run_does_not_show_its_result(house: Install, shell: Shell) -> None:
    guessed = "tick:analyse:2026-11-29T20:00:00Z"
    shell.run(
        """
        from gatekeeper.policies.spec import registered
        answer = app.accept(registered()["counter.add"].call((), {"a": 20, "b": 22}, id=call, origin="beat"))
        """,
        call=guessed,
    )
    until(lambda: get(house, f"/calls/{guessed}").content.get("state") == "done", 20, "the end of the tick")

    assert get(house, f"/calls/{guessed}", **ELSEWHERE).status == 401
    assert set(get(house, f"/calls/{guessed}").content) == {"call", "agent", "task", "state"}


def test_web_processes_of_one_installation_share_a_secret_that_only_its_owner_can_read(
    house: Install,
) -> None:
    path = deliver(house, "shared")
    secret = house.state_dir / "secrets" / "status-links"
    first, [house.web_port] = house.web_port, free_ports(1)
    try:
        other = start_web(house)
        assert get(house, path, **ELSEWHERE).content["result"] == 42
        other.kill9()
    finally:
        house.web_port = first

    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700


# Names


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:8000", "localhost@evil.example",
     "evil.example#localhost", "[::1", "a b", "127.0.0.1:port", "-", "gatehouse.example.org.evil.example", "\x9b"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/posts/", "/feed.xml", "/calls/x", "/hooks", "/nowhere"])
def test_a_foreign_host_is_refused_at_every_path(house: Install, path: str, host: str) -> None:
    answer = get(house, path, Host=host)

    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Host header" in answer.content["detail"] or "PUBLIC_URL" in answer.content["detail"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.:1", "127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "192.0.2.1", "gatehouse.example.org",
     "gatehouse.example.org:443", "GateHouse.Example.org"],
)  # fmt: skip
def test_our_names_and_every_address_are_answered(house: Install, host: str) -> None:
    assert get(house, "/healthz", Host=host).status == 200


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/", "/posts/", "/reports/", "/feed.xml", "/calls/x", "/hooks/forge", "/nowhere"]
)
def test_every_answer_has_the_security_headers(house: Install, path: str) -> None:
    headers: dict[str, Any] = get(house, path).headers

    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    # The desk's forms need their Origin; its addresses still stay here.
    assert headers["referrer-policy"] == ("same-origin" if path == "/" else "no-referrer")
