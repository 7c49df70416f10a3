"""Webhooks over real HTTP: each kind of valid and invalid input has its own answer, and none is a 500."""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from tests import senders
from tests.harness import Install, patient, until
from tests.harness.install import ROOT, http_status
from tests.harness.process import Process
from tests.harness.shell import Shell
from tests.senders import Answer, message

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()
HUB = "It's-a-secret"
LIMIT = 256 * 1024

ENV = {
    "WEBHOOK_SECRET_STANDARD": f"{SECRET} {OLD_SECRET}",
    "WEBHOOK_SECRET_GITHUB": HUB,
    "WEBHOOK_SECRET_FORGE": HUB,
    "WEBHOOK_SECRET_SLOW": HUB,
    "WEBHOOK_SECRET_BURST": HUB,
}


def start_web(house: Install) -> Process:
    """Start the web process with the routes of the tests."""
    options = ["--app-dir", str(ROOT / "tests" / "tables"), "--port", str(house.web_port), "--log-level", "warning"]
    web = house.start("web", [sys.executable, "-m", "uvicorn", "web.app:app", *options])
    until(lambda: http_status(f"{house.web_url}/healthz") == 200, 30, "the web process")
    return web


@pytest.fixture(scope="module", autouse=True)
def web(house: Install) -> Process:
    """Start the web process and a worker together; return the web process."""
    house.env.update(ENV)
    with ThreadPoolExecutor(2) as pool:
        web = pool.submit(start_web, house)
        pool.submit(house.worker).result()
        return web.result()


def standard(house: Install, body: bytes, delivery: str, at: float | None = None, **changed: str) -> Answer:
    headers = {**senders.standard(SECRET, body, delivery, at), **changed}
    return senders.send(f"{house.web_url}/hooks/standard", body, {k: v for k, v in headers.items() if v != "none"})


def github(
    house: Install, body: bytes, delivery: str, event: str = "push", source: str = "github", **changed: str
) -> Answer:
    headers = {**senders.github(HUB, body, delivery, event), **changed}
    return senders.send(f"{house.web_url}/hooks/{source}", body, headers)


def forge(house: Install, **content: Any) -> Answer:
    body = json.dumps(content).encode()
    return senders.send(f"{house.web_url}/hooks/forge", body, senders.generic(HUB, body, "X-Forge-Signature"))


def problem(answer: Answer, status: int) -> str:
    """Return the detail of a refusal, which must be a problem document of this status."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.content["status"] == status
    assert answer.content["type"] == "about:blank"
    assert answer.content["title"]
    return str(answer.content.get("detail", ""))


def ended(house: Install, answer: Answer) -> dict[str, Any]:
    """Wait until the call has ended, and return what its page shows."""

    def look() -> dict[str, Any] | None:
        seen = senders.send(answer.content["status_url"], b"", {}, "GET")
        assert seen.status == 200, seen
        return seen.content if seen.content["state"] in {"done", "rejected"} else None

    return until(look, 20, f"the end of {answer.content['call']}")


# Valid deliveries


def test_a_signed_delivery_is_accepted_runs_and_its_page_shows_the_result(house: Install) -> None:
    answer = forge(house, kind="add", id="one", a=20, b=22)

    assert answer.status == 202
    assert answer.content["call"] == "hook:forge:one"
    assert answer.content["status_url"].startswith(f"{house.web_url}/calls/hook%3Aforge%3Aone?sig=")
    assert ended(house, answer) == {
        "call": "hook:forge:one", "agent": "counter", "task": "counter.add", "key": "counter.add:hook:forge:one",
        "state": "done", "result": 42, "answer": None,
    }  # fmt: skip


def test_a_delivery_of_svix_is_accepted_once_whatever_unsigned_id_comes_with_it(house: Install) -> None:
    body = senders.message("svix")
    headers = senders.svix(SECRET, body, "msg_svix")
    url = f"{house.web_url}/hooks/standard"

    first = senders.send(url, body, headers)
    again = senders.send(url, body, {**headers, "webhook-id": "msg_other"})

    assert (first.status, first.content["call"]) == (202, "hook:standard:msg_svix")
    assert (again.status, again.content["call"]) == (200, "hook:standard:msg_svix")


def test_the_story_of_a_call_names_its_origin(house: Install, shell: Shell) -> None:
    ended(house, forge(house, kind="add", id="door", a=1, b=2))

    story = shell.gate("explain", "hook:forge:door")["story"]

    assert (story[0]["event"], story[0]["door"]) == ("registered", "webhook")


def test_the_old_secret_is_valid_while_it_is_rotated(house: Install) -> None:
    body = message("rotated")

    answer = senders.send(f"{house.web_url}/hooks/standard", body, senders.standard(OLD_SECRET, body, "rotated"))

    assert answer.status == 202


def test_one_valid_signature_among_several_is_enough(house: Install) -> None:
    body = message("several")
    good = senders.standard(SECRET, body, "several")["webhook-signature"]

    assert standard(house, body, "several", None, **{"webhook-signature": f"v1a,AAAA v1,AAAA {good}"}).status == 202


def test_the_action_of_an_event_is_part_of_its_type(house: Install) -> None:
    issue = {"id": 7, "body": "It is broken", "user": {"login": "ada"}}
    body = json.dumps({"action": "opened", "issue": issue, "repository": {"name": "gatehouse"}}).encode()

    refused = github(house, body, "issue-1", "issues")

    # GitHub's ids are numbers, and the task wants text: what does not fit is told before anything is accepted
    assert "message_id: Input should be a valid string" in problem(refused, 400)


def test_an_event_that_starts_nothing_is_answered_and_not_stored(house: Install, shell: Shell) -> None:
    answer = forge(house, kind="other", id="ignored")

    assert (answer.status, answer.content) == (200, {"ignored": "other"})
    assert senders.send(f"{house.web_url}/calls/hook:forge:ignored", b"", {}, "GET").status == 404


# Duplicates


def test_the_same_delivery_again_is_answered_with_the_same_call(house: Install) -> None:
    first = forge(house, kind="add", id="twice", a=1, b=1)
    again = forge(house, kind="add", id="twice", a=1, b=1)
    ended(house, first)
    late = forge(house, kind="add", id="twice", a=1, b=1)

    assert [answer.status for answer in (first, again, late)] == [202, 200, 200]
    assert first.content == again.content == late.content


def test_the_same_id_with_another_body_is_refused(house: Install) -> None:
    forge(house, kind="add", id="changed", a=1, b=1)

    assert "another body" in problem(forge(house, kind="add", id="changed", a=1, b=2), 422)


def test_the_same_id_for_another_agent_is_refused(house: Install) -> None:
    issue = {"id": "i1", "body": "Hello?", "user": {"login": "ada"}}
    opened = json.dumps({"action": "opened", "repository": {"name": "r1"}, "issue": issue}).encode()
    pushed = json.dumps({"name": "pushed", "value": 1}).encode()
    assert github(house, pushed, "two agents").status == 202

    assert "another task" in problem(github(house, opened, "two agents", "issues"), 422)


def test_ids_that_look_alike_never_become_one_call(house: Install) -> None:
    ids = ["a:b", "a%3Ab", "a b", "a+b", "a/b", "a\nb", "a\r\n\x00b", "../x", "ü", 7, "?", "#"]

    answers = [forge(house, kind="add", id=each, a=1, b=1) for each in ids]

    assert [answer.status for answer in answers] == [202] * len(ids)
    assert len({answer.content["call"] for answer in answers}) == len(ids)
    assert all(re.fullmatch(r"hook:forge:[\w.~%-]+", answer.content["call"]) for answer in answers)
    assert [ended(house, answer)["result"] for answer in answers] == [2] * len(ids)


def test_a_hundred_concurrent_deliveries_with_one_id_are_one_call(house: Install) -> None:
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda _: forge(house, kind="add", id="hundred", a=1, b=1), range(100)))

    seen = Counter(answer.status for answer in answers)
    assert seen[202] == 1, seen
    assert set(seen) <= {202, 200, 503}, seen


def test_a_sender_that_lost_the_answer_gets_it_again(house: Install) -> None:
    body = json.dumps({"kind": "add", "id": "lost", "a": 1, "b": 1}).encode()
    raw = _request(house, "forge", body, senders.generic(HUB, body, "X-Forge-Signature"))
    with _connection(house) as connection:
        connection.sendall(raw)  # and close it before there is an answer

    again = forge(house, kind="add", id="lost", a=1, b=1)

    assert again.status in {202, 200}, "whichever of the two came first"
    assert ended(house, again)["result"] == 2


# Bad signatures and times


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-signature": "none"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "abc"},
        {"webhook-signature": "v1,gr\u00fc\u00df"},
        {"webhook-signature": senders.standard("whsec_YWFh", message("forged"), "forged")["webhook-signature"]},
        {"webhook-signature": senders.standard(SECRET, message("forged"), "other")["webhook-signature"]},
        {"webhook-id": "none"},
        {"webhook-id": "other"},
        {"webhook-timestamp": "none"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": str(time.time_ns() // 1_000_000)},
    ],
)  # fmt: skip
def test_a_forged_delivery_is_refused(house: Install, changed: dict[str, str]) -> None:
    answer = standard(house, message("forged"), "forged", None, **changed)

    assert problem(answer, 401)
    assert "www-authenticate" in answer.headers
    assert senders.send(f"{house.web_url}/calls/hook:standard:forged", b"", {}, "GET").status == 404


@pytest.mark.parametrize("seconds", [-310, 310])
def test_an_old_or_early_delivery_is_refused_though_it_is_signed(house: Install, seconds: int) -> None:
    answer = standard(house, message("old"), "old", at=time.time() + seconds)

    assert "300 seconds" in problem(answer, 401)


def test_a_delivery_within_the_tolerance_of_the_clock_is_accepted(house: Install) -> None:
    assert standard(house, message("beside"), "beside", at=time.time() - 290).status == 202


def test_no_refusal_shows_a_secret(house: Install, web: Process) -> None:
    forged = standard(house, message("leak"), "leak", None, **{"webhook-signature": "v1,AAAA"})

    for secret in ENV.values():
        assert secret.split()[0] not in forged.body.decode() + web.output


# Bad bodies

SURROGATE = b'{"name": "x", "value": "\\ud83d"}'


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"[" * 100_000, 400, "nested deeper"),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 400, "nested deeper"),
        (b'{"a":' * 60 + b"1" + b"}" * 60, 400, "nested deeper"),
        (b'{"value": ' + b"9" * 5000 + b"}", 400, "number"),
        (b'{"value": NaN}', 400, "number"),
        (b'{"value": -Infinity}', 400, "number"),
        (b'{"value": 1e999}', 400, "number"),
        (b'{"name": "\xff\xfe"}', 400, "UTF-8"),
        ('{"name": "x"}'.encode("utf-16"), 400, "UTF-8"),
        (b'\xef\xbb\xbf{"name": "x"}', 400, "not JSON"),
        (b'{"name": "a\x00b"}', 400, "not JSON"),
        (b'["name"]', 400, "object"),
        (b'"name"', 400, "object"),
        (b"null", 400, "object"),
        (SURROGATE, 400, "half a character"),
        (b'{"value": 1}', 400, "missing a required argument: 'name'"),
        (b'{"name": null, "value": 1}', 400, "name: Input should be a valid string"),
        (b'{"name": "' + b"y" * LIMIT + b'"}', 413, "at most 262144 bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_signed_body_that_cannot_be_used_says_why(house: Install, body: bytes, status: int, words: str) -> None:
    assert words in problem(github(house, body, "bad-body"), status)


def test_unusual_but_valid_text_is_accepted_unchanged(house: Install) -> None:
    for number, value in enumerate(["a\u0000b", "\u202e\u200b", "\u001b[31m", "9" * 4000, 10**4000, [[]] * 20]):
        body = json.dumps({"name": "odd", "value": value}).encode()
        answer = github(house, body, f"odd-{number}")
        assert answer.status == 202, (value, answer)


@pytest.mark.parametrize(
    ("event", "body"),
    [("", b"{}"), ("x" * 101, b"{}"), ("push", b'{"action": "' + b"x" * 100 + b'"}')],
)
def test_an_event_without_a_usable_type_is_refused(house: Install, event: str, body: bytes) -> None:
    assert "type of the event" in problem(github(house, body, "no-type", event), 400)


@pytest.mark.parametrize("kind", [None, 7, "", ["add"], "\ud800"])
def test_a_type_that_is_not_text_is_refused(house: Install, kind: Any) -> None:
    assert "type of the event" in problem(forge(house, kind=kind, id="no-type"), 400)


@pytest.mark.parametrize("delivery", [None, "", "  ", True, 1.5, {}, "x" * 201, "ü" * 40, "\ud800"])
def test_a_delivery_without_a_usable_id_is_refused(house: Install, delivery: Any) -> None:
    assert "id of the delivery" in problem(forge(house, kind="add", id=delivery, a=1, b=1), 400)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": 'application/json; profile="a; charset=utf-8"; charset="UTF-16"'},
        {"Content-Type": "application/json; charset=no-such-thing"},
        {"Content-Type": "application"},
        {"Content-Type": "application/json+x"},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "br"},
    ],
    ids=str,
)
def test_another_type_or_a_compressed_body_is_refused_by_its_header(house: Install, headers: dict[str, str]) -> None:
    body = gzip.compress(b"{}") if "Content-Encoding" in headers else b"{}"

    told = problem(github(house, body, "type", **headers), 415)
    assert "send " in told
    assert not headers.get("Content-Type") or any(word in told for word in ("not '", "charset '")), told


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=UTF-8",
        "APPLICATION/JSON",
        "application/cloudevents+json",
        "application/json; charset=utf-8; profile=x",
        'application/json;profile="https://x/;charset=latin-1";CharSet="utf-8"',
        "application/json ; charset = utf8",
        "application/json;",
        "application/json; charset=us-ascii",
        "application/json; charset*=us-ascii'en'utf-8",
        "text/json",
    ],
)
def test_other_media_types_of_json_are_accepted(house: Install, kind: str) -> None:
    assert github(house, b"{}", "names", **{"Content-Type": kind}).status == 400, "it got as far as its arguments"


# HTTP itself


def _connection(house: Install) -> socket.socket:
    return socket.create_connection(("127.0.0.1", house.web_port), timeout=patient(20))


def _request(house: Install, source: str, body: bytes, headers: dict[str, str], length: str | None = None) -> bytes:
    lines = [f"POST /hooks/{source} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"Content-Length: {len(body)}" if length is None else length]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _status(connection: socket.socket) -> int:
    """Return the status of the first answer; 0 if the connection was closed without one."""
    with connection.makefile("rb") as answer:
        line = answer.readline().split()
    return int(line[1]) if line else 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_answered_with_the_allowed_one(house: Install, method: str) -> None:
    answer = senders.send(f"{house.web_url}/hooks/github", b"", {}, method)

    assert answer.status in {405, 400}, "a method that HTTP does not have ends in the parser"
    if answer.status == 405:
        assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "path",
    ["/hooks/unknown", "/hooks/silent", "/hooks/", "/hooks", "/hooks/github/more", "/hooks/%00", "/hooks/..%2fgithub",
     "/hooks/GITHUB", "/hooks/github%20", "/hooks/%ff", "/hooks/" + "x" * 5000],
)  # fmt: skip
def test_a_source_that_is_not_set_up_is_404(house: Install, path: str) -> None:
    body = b'{"kind": "add"}'

    answer = senders.send(f"{house.web_url}{path}", body, senders.github(HUB, body, "d1"))

    assert problem(answer, 404) is not None


def test_the_log_says_which_variable_a_source_lacks(house: Install, web: Process) -> None:
    senders.send(f"{house.web_url}/hooks/silent", b"{}", senders.JSON)

    assert any("WEBHOOK_SECRET_SILENT" in line["hint"] for line in web.events("webhook without a secret"))


def test_forged_forwarding_headers_change_nothing(house: Install) -> None:
    forged = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "https",
        "Forwarded": "for=127.0.0.1",
        "Host": "evil",
    }
    body = b'{"kind": "add"}'

    assert github(house, body, "xff", **forged, **{"X-Hub-Signature-256": "sha256=00"}).status == 401
    accepted = github(house, b'{"name": "xff", "value": 1}', "xff", **forged)

    assert accepted.content["status_url"].startswith(house.web_url)


def test_a_body_that_is_shorter_than_its_declared_length_is_not_accepted(house: Install) -> None:
    body = b'{"name": "short", "value": 1}'
    with _connection(house) as connection:
        connection.sendall(_request(house, "github", body, senders.github(HUB, body, "short"), "Content-Length: 500"))
        connection.shutdown(socket.SHUT_WR)
        assert _status(connection) in {0, 400}

    assert senders.send(f"{house.web_url}/calls/hook:github:short", b"", {}, "GET").status == 404


def test_a_slow_sender_gets_a_timeout(house: Install) -> None:
    body = b'{"name": "drip", "value": 1}'
    with _connection(house) as connection:
        connection.sendall(_request(house, "github", body[:5], senders.github(HUB, body, "drip"), "Content-Length: 28"))
        assert _status(connection) == 408


def test_endless_chunks_are_cut_off_at_the_limit(house: Install) -> None:
    head = _request(house, "github", b"", senders.github(HUB, b"", "endless"), "Transfer-Encoding: chunked")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with _connection(house) as connection:
        connection.sendall(head)
        try:
            for _ in range(40):
                connection.sendall(chunk)
        except ConnectionError:
            pass  # it closed the connection, as it should
        assert _status_or_reset(connection) in {0, 413}


def _status_or_reset(connection: socket.socket) -> int:
    try:
        return _status(connection)
    except ConnectionError:
        return 0


@pytest.mark.parametrize(
    "lengths",
    [
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: -1",
        "Content-Length: two",
        "Content-Length: 99999999999999999999999999",
        "X-Bad: a\x00b\r\nContent-Length: 2",
        "X-Long: " + "x" * 100_000 + "\r\nContent-Length: 2",
    ],
    ids=lambda text: text[:40],
)
def test_headers_that_contradict_or_break_http_are_refused(house: Install, lengths: str) -> None:
    with _connection(house) as connection:
        connection.sendall(_request(house, "github", b"{}", senders.JSON, lengths))
        assert _status_or_reset(connection) in {0, 400, 401, 413, 431}


def test_a_header_with_a_line_break_in_it_makes_no_second_header(house: Install) -> None:
    body = b'{"name": "fold", "value": 1}'
    headers = {**senders.github(HUB, body, "fold\r\n X-Evil: 1")}
    with _connection(house) as connection:
        connection.sendall(_request(house, "github", body, headers))
        assert _status(connection) in {202, 400}


# Too much


def test_a_source_above_its_rate_is_told_when_to_retry(house: Install) -> None:
    answers = [github(house, b'{"kind": "add"}', f"slow-{n}", source="slow") for n in range(8)]

    assert [answer.status for answer in answers] == [202] * 5 + [429] * 3
    assert "5/minute" in problem(answers[-1], 429)
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 12
    assert github(house, b'{"kind": "add"}', "other").status != 429, "each source has its own rate"
    assert github(house, b"{}", "x", source="slow", **{"X-Hub-Signature-256": "sha256=00"}).status == 401


def test_a_burst_of_a_thousand_breaks_nothing_and_what_is_accepted_runs(house: Install) -> None:
    def one(number: int) -> Answer:
        return github(house, b'{"kind": "add"}', f"burst-{number}", source="burst")

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(one, range(1000)))

    seen = Counter(answer.status for answer in answers)
    accepted = [answer for answer in answers if answer.status == 202]
    assert set(seen) <= {202, 429, 503}, seen
    assert len(accepted) >= 200, seen
    assert all("retry-after" in answer.headers for answer in answers if answer.status != 202)
    assert {ended(house, answer)["state"] for answer in accepted[:: len(accepted) // 20]} == {"done"}


# The page of a call


@pytest.mark.parametrize("path", ["/calls/unknown", "/calls/", "/calls/%00", "/calls/../x", "/calls/hook:github:%ff"])
def test_an_unknown_call_is_404(house: Install, path: str) -> None:
    assert problem(senders.send(f"{house.web_url}{path}", b"", {}, "GET"), 404)


def test_the_page_of_a_call_does_not_show_what_was_sent(house: Install) -> None:
    body = message("private", text="my private words", sender="ada.lovelace", conversation="private")
    answer = standard(house, body, "private")

    shown = ended(house, answer)

    assert shown["state"] == "done"
    assert "private words" not in json.dumps(shown)
    assert "lovelace" not in json.dumps(shown)


def test_the_page_of_a_refused_call_shows_why(house: Install) -> None:
    shown = ended(house, standard(house, message("bot", sender="ada[bot]"), "bot"))

    assert (shown["state"], shown["result"]) == ("rejected", None)
    assert "that is the name of a bot" in shown["answer"]["error"]


def test_the_page_of_a_refused_call_does_not_show_the_result_that_another_call_of_its_key_has(house: Install) -> None:
    first = ended(house, standard(house, message("same"), "first"))

    other = ended(house, standard(house, message("same", text="Other words"), "second"))

    assert first["result"]
    assert (other["key"], other["state"], other["result"]) == (first["key"], "rejected", None)
    assert other["answer"]["stage"] == "key"


# A paused agent


def test_a_delivery_for_a_paused_agent_waits_and_runs_when_it_is_resumed(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    shell.gate("pause", "responder", "--why", "looking")
    answer = standard(house, message("paused", conversation="paused"), "paused")

    def page() -> dict[str, Any]:
        return senders.send(answer.content["status_url"], b"", {}, "GET").content

    until(lambda: page()["state"] == "waiting", 20, "the call to wait")
    assert page()["answer"]["stage"] == "paused"
    shell.gate("resume", "responder")
    store.zadd("gate:{responder}:waiting", {answer.content["call"]: 0})  # its minute is over

    assert ended(house, answer)["state"] == "done"
