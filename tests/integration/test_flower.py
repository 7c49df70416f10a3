"""Access to Flower, and its answers to mistakes: real requests from this user, from another user, and from a browser."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
import subprocess
import sys
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import redis

from tests.harness import Install, patient
from tests.harness.process import Process

OTHER_USER = 54321
linux = pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="only Linux shows the user of a connection")  # noqa: PTH110
root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")

PAGES = ["/", "/workers", "/tasks", "/broker", "/metrics", "/api/workers", "/api/tasks", "/api/task/types", "/static/css/flower.css", "/nowhere"]  # fmt: skip


class Said(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


@pytest.fixture(scope="module", autouse=True)
def flower(house: Install) -> Process:
    return house.flower()


def ask(house: Install, path: str, content: Any = None, method: str = "", **headers: str) -> Said:
    """Send a request as a program of this user does."""
    body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
    connection = HTTPConnection(urlsplit(house.flower_url).netloc, timeout=patient(15))
    try:
        connection.request(method or ("GET" if content is None else "POST"), path, body, headers)
        answer = connection.getresponse()
        return Said(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())
    finally:
        connection.close()


def password(house: Install) -> str:
    return (house.state_dir / "secrets" / "flower-password").read_text().strip()


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


# The user whose process connects


@linux
def test_this_users_own_programs_need_no_password(house: Install) -> None:
    for path in PAGES[:-1]:
        assert ask(house, path).status == 200, path
    assert ask(house, "/api/task/async-apply/counter.add", {"kwargs": {"a": 1, "b": 2}}).status == 200


@root
@pytest.mark.parametrize("path", PAGES)
def test_another_user_of_this_machine_is_asked_for_the_password(house: Install, path: str) -> None:
    assert as_other_user(house, "GET", path).split()[1] == "401"


@root
def test_another_user_starts_nothing_and_ends_nothing(house: Install) -> None:
    for path in (
        "/api/task/async-apply/counter.add", "/api/task/send-task/counter.add", "/api/task/apply/counter.add",
        "/api/worker/shutdown/x", "/api/task/revoke/x", "/api/worker/pool/shrink/x",
    ):  # fmt: skip
        answer = as_other_user(house, "POST", path)
        assert answer.split()[1] == "401", answer
        assert "www-authenticate: basic" in answer.lower()


@root
def test_another_user_who_disconnects_at_once_is_not_taken_for_root(house: Install) -> None:
    """The kernel shows user 0 for a socket that its process has closed."""
    with redis.Redis.from_url(house.redis_url) as store:

        def calls() -> int:
            return len(list(store.scan_iter("gate:{counter}:call:*", count=1000)))

        before = calls()
        for _ in range(20):
            as_other_user(
                house, "POST", "/api/task/async-apply/counter.add", '{"kwargs": {"a": 1, "b": 2}}', disconnect=True
            )
        ask(house, "/api/task/async-apply/counter.add", {"kwargs": {"a": 1, "b": 2}})  # after all of them

        assert calls() == before + 1


@root
def test_another_user_who_knows_the_password_gets_in(house: Install) -> None:
    known = f"Authorization: {basic('admin:' + password(house))}\r\n"

    assert as_other_user(house, "GET", "/metrics", headers=known).split()[1] == "200"


def as_other_user(
    house: Install, method: str, path: str, body: str = "", headers: str = "", *, disconnect: bool = False
) -> str:
    """Send a request from a process of another user; return the answer."""
    request = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{house.flower_port}\r\nConnection: close\r\n{headers}"
    request += f"Content-Length: {len(body)}\r\n\r\n{body}"
    code = f"""
import encodings.idna, os, socket
os.setgid({OTHER_USER}); os.setuid({OTHER_USER})
with socket.create_connection(("127.0.0.1", {house.flower_port}), {patient(10)}) as connection:
    connection.sendall({request!r}.encode())
    if not {disconnect}:
        answer = b""
        while part := connection.recv(65536):
            answer += part
        print(answer.decode())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=patient(30), check=True)
    return done.stdout


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"Via": "1.1 x"}, {"X-Real-IP": "127.0.0.1"},
        {"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example"}, {"Host": "192.0.2.1:5555"},
    ],
    ids=str,
)  # fmt: skip
def test_a_request_through_a_proxy_or_with_another_host_needs_the_password(
    house: Install, headers: dict[str, str]
) -> None:
    assert ask(house, "/api/tasks", **headers).status == 401
    assert ask(house, "/api/task/async-apply/counter.add", {"kwargs": {"a": 1, "b": 2}}, **headers).status == 401


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !", "Basic eA==", "Bearer x", basic("admin:"), basic("admin:wrong"), basic("root:x"), "Basic gr\u00fc"],
)  # fmt: skip
def test_a_wrong_password_is_refused(house: Install, authorization: str) -> None:
    answer = ask(house, "/metrics", Host="elsewhere", Authorization=authorization)

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert "flower-password" in answer.text


def test_the_password_is_made_once_and_only_its_owner_can_read_it(house: Install) -> None:
    file = house.state_dir / "secrets" / "flower-password"

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(password(house)) >= 32
    assert ask(house, "/metrics", Host="elsewhere", Authorization=basic(f"admin:{password(house)}")).status == 200


# Pages of other sites in this user's browser


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://["}, {"Origin": ""}, {"Origin": "http://127.0.0.1:1"},
        {"Origin": "x"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("knows", [False, True], ids=["own", "password"])
def test_a_page_of_another_site_starts_nothing(
    house: Install, flower: Process, headers: dict[str, str], *, knows: bool
) -> None:
    known = {"Authorization": basic(f"admin:{password(house)}")} if knows else {}

    answer = ask(house, "/api/task/async-apply/counter.add", {"kwargs": {"a": 1, "b": 2}}, **headers, **known)

    assert answer.status == 403
    assert "Traceback" not in flower.output


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://["}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}]
)
def test_a_page_of_another_site_reads_nothing(house: Install, headers: dict[str, str]) -> None:
    assert ask(house, "/api/tasks", **headers).status == 403
    assert ask(house, "/metrics", "", "OPTIONS", **headers).status == 403


@linux
def test_a_link_that_a_person_follows_and_flowers_own_pages_work(house: Install) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    own = {"Sec-Fetch-Site": "same-origin", "Origin": house.flower_url}

    assert ask(house, "/", **followed).status == 200
    assert ask(house, "/api/task/async-apply/counter.add", {"kwargs": {"a": 1, "b": 2}}, **own).status == 200


@pytest.mark.parametrize("path", [*PAGES, "/healthcheck", "/api/task/info/x"])
@pytest.mark.parametrize("headers", [{}, {"Host": "elsewhere"}, {"Origin": "http://["}], ids=["200", "401", "403"])
def test_nothing_of_flower_can_be_framed_or_read_by_other_sites(
    house: Install, path: str, headers: dict[str, str]
) -> None:
    found = ask(house, path, **headers).headers

    assert "frame-ancestors 'none'" in found["content-security-policy"]
    assert found["x-frame-options"] == "DENY"
    assert found["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in found


def test_the_health_check_needs_no_password(house: Install) -> None:
    assert ask(house, "/healthcheck", Host="elsewhere").text == "OK"


def test_with_a_desk_password_every_page_requires_it(house: Install) -> None:
    locked = Install(house.folder / "locked", house.redis_url, task_modules=(), env={"DESK_PASSWORD": "open: sesame"})
    try:
        locked.flower()
        for path in PAGES:
            assert ask(locked, path).status == 401, path
        assert ask(locked, "/metrics", Authorization=basic("admin:open: sesame")).status == 200
        assert ask(locked, "/healthcheck").status == 200
        assert not (locked.state_dir / "secrets" / "flower-password").exists()
    finally:
        locked.close()


# Mistakes


GOOD = {"kwargs": {"a": 1, "b": 2}}


@pytest.mark.parametrize("way", ["async-apply", "send-task", "apply"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"kwargs": {"a": 1}}, "missing"),
        ({"kwargs": {"a": 1, "b": 2, "c": 3}}, "unexpected"),
        ({"kwargs": {"a": "x", "b": 2}}, "valid integer"),
        ({"args": [1, 2, 3]}, "too many positional"),
        ({"args": 7}, "args must be an array"),
        ({"kwargs": [1]}, ""),
        ({"kwargs": "x"}, ""),
        ({**GOOD, "nosuch": 1}, "nosuch"),
        ({**GOOD, "headers": {"id": "x"}}, "headers"),
        ({**GOOD, "countdown": "soon"}, ""),
        ({**GOOD, "countdown": [1]}, ""),
        ({**GOOD, "countdown": 1e400}, ""),
        ({**GOOD, "eta": [7]}, "eta"),
        ({**GOOD, "eta": "tomorrow"}, "eta"),
        ({**GOOD, "expires": {"at": 7}}, "expires"),
        ({**GOOD, "operation": "x"}, ""),
        ({**GOOD, "target": "x"}, ""),
        ({**GOOD, "func": "x"}, ""),
        ({**GOOD, "task_id": ["x"]}, ""),
        ({"kwargs": {"a": 1, "b": "\x1b[2J\u202e"}}, "valid integer"),
        (b"{", ""),
        (b"[" * 100_000, ""),
        (b"\xff", ""),
        (b"7", "invalid options"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_call_that_cannot_be_made_is_400_and_a_sentence(
    house: Install, flower: Process, way: str, content: Any, says: str
) -> None:
    answer = ask(house, f"/api/task/{way}/counter.add", content)

    assert answer.status == 400, answer
    assert says in answer.text
    assert 5 < len(answer.text.strip()) < 500
    assert not set(answer.text) & {"\x1b", "\u202e"}


@pytest.mark.parametrize("way", ["async-apply", "send-task"])
@pytest.mark.parametrize(
    "options", [{"countdown": 3600}, {"eta": "2030-01-01T00:00:00Z"}, {"eta": "2030-01-01 00:00:00.000000"}]
)
def test_every_form_of_a_time_is_accepted(house: Install, way: str, options: dict[str, Any]) -> None:
    assert ask(house, f"/api/task/{way}/counter.add", GOOD | options).status == 200


def test_a_number_in_quotes_is_accepted_where_flower_accepts_it(house: Install) -> None:
    assert ask(house, "/api/task/async-apply/counter.add", {**GOOD, "countdown": "3600"}).status == 200


@pytest.mark.parametrize("way", ["async-apply", "send-task", "apply"])
@pytest.mark.parametrize("name", ["nosuch.task", "counter.ad", "%1b%5b2J", "celery.nosuch"])
def test_an_unknown_task_is_404_and_a_sentence(house: Install, way: str, name: str) -> None:
    answer = ask(house, f"/api/task/{way}/{name}", {})

    assert answer.status == 404, answer
    assert "task" in answer.text


@pytest.mark.parametrize(
    "path",
    ["/api/task/result/x?timeout=soon", "/api/tasks?limit=many", "/api/tasks?offset=x", "/api/task/info/nosuch", "/api/worker/pool/grow/nosuch",
     "/api/task/timeout/nosuch", "/api/task/rate-limit/nosuch"],
)  # fmt: skip
def test_other_mistakes_are_not_answered_500(house: Install, path: str) -> None:
    method = "POST" if "worker" in path or "limit/" in path or "timeout/" in path else "GET"

    assert 400 <= ask(house, path, b"", method).status < 500


def test_the_log_has_no_traceback_for_a_mistake(house: Install, flower: Process) -> None:
    ask(house, "/api/task/async-apply/counter.add", {"kwargs": {"a": "unlikely"}})

    assert "a call was refused" in flower.output
    assert "Traceback" not in flower.output


def test_malformed_http_does_not_stop_flower(house: Install) -> None:
    for said in (
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"X\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", house.flower_port), patient(5)) as connection:
            connection.sendall(said)
            connection.recv(100)

    assert ask(house, "/healthcheck").status == 200


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"headers": {"id": "another"}}, "'headers' is not supported"),
        ({"serializer": "pickle"}, "'serializer' is not supported"),
        ({"task_id": "tick:publish:2026-11-22T11:30:00Z"}, "an id of a tick or of a webhook delivery"),
        ({"chord": {"task": "counter.add"}}, "'chord' is not supported"),
        ({"link": [{"task": "celery.backend_cleanup"}]}, "not a task with @gatekeeper.task"),
        ({"queue": 7}, "cannot name a queue"),
        ({"nosuch": 1}, "is not an option"),
    ],
)
@pytest.mark.parametrize("way", ["async-apply", "send-task"])
def test_an_option_that_cannot_be_kept_is_400_and_nothing_is_registered(
    house: Install, way: str, option: dict[str, Any], words: str
) -> None:
    store = redis.Redis.from_url(house.redis_url, decode_responses=True)
    before = set(store.scan_iter("gate:{counter}:call:*"))

    said = ask(house, f"/api/task/{way}/counter.add", {"kwargs": {"a": 1, "b": 2}, **option})

    assert said.status == 400, said
    assert words in said.text
    assert set(store.scan_iter("gate:{counter}:call:*")) == before
    store.close()
