"""A message from a signed webhook is answered once, also if it is repeated, forged, or sent a hundred times at once."""

from __future__ import annotations

import base64
import json
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import senders
from tests.harness import Install, Valkey, patient, until
from tests.senders import Answer, message

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()

Installs = Callable[[Valkey], Install]


@pytest.fixture
def house(install: Install) -> Install:
    """Return an installation as it ships, with one secret set."""
    install.env["WEBHOOK_SECRET_STANDARD"] = SECRET
    return install


def start(house: Install) -> None:
    with ThreadPoolExecutor(2) as pool:
        for started in (pool.submit(house.web), pool.submit(house.worker)):
            started.result()


def deliver(house: Install, body: bytes, delivery: str = "msg_1", secret: str = SECRET) -> Answer:
    return senders.send(f"{house.web_url}/hooks/standard", body, senders.standard(secret, body, delivery))


def replies(house: Install, conversation: str = "c1") -> list[dict[str, Any]]:
    file = house.state_dir / "mailbox" / "chat" / f"{conversation}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def ended(house: Install, answer: Answer) -> dict[str, Any]:
    def looked() -> dict[str, Any] | None:
        page = senders.send(answer.content["status_url"], b"", {}, "GET").content
        return page if page["state"] in {"done", "rejected"} else None

    return until(looked, 20, f"the end of {answer.content['call']}")


def test_a_signed_message_is_answered_once_and_a_forged_one_never(house: Install) -> None:
    start(house)
    body = message(text="Where is the feed?")

    answer = deliver(house, body)
    assert answer.status == 202
    page = ended(house, answer)
    again, forged = deliver(house, body), deliver(house, message(2), "msg_2", OTHER)

    assert (page["state"], page["key"]) == ("done", "respond:chat:c1:m1")
    assert page["result"]["file"] == "mailbox/chat/c1.jsonl"
    assert (again.status, again.content) == (200, answer.content)
    assert forged.status == 401
    [reply] = replies(house)
    assert (reply["message_id"], reply["sender"], reply["rung"], reply["by"]) == ("m1", "ada", "rules", "rules")
    assert reply["message"] == "Where is the feed?"
    assert "question" in reply["reply"]
    until(lambda: house.state("responder")["metrics"]["total_answered"] == 1, what="the responder's state")
    assert house.state("responder")["last_reply"]["rung"] == "rules"


def test_a_hundred_deliveries_of_one_message_are_one_reply(house: Install) -> None:
    start(house)
    body = message()

    with ThreadPoolExecutor(50) as pool:
        same_id = list(pool.map(lambda _: deliver(house, body), range(100)))
        other_ids = list(pool.map(lambda n: deliver(house, body, f"other_{n}"), range(20)))

    seen = Counter(answer.status for answer in same_id)
    assert seen[202] == 1, seen
    assert set(seen) <= {200, 202, 503}, seen
    for answer in [same_id[0], *other_ids]:
        if answer.status in {200, 202}:
            ended(house, answer)
    assert [reply["message_id"] for reply in replies(house)] == ["m1"]


def test_neither_a_restart_nor_a_loss_of_data_answers_a_second_time(house: Install, valkey: Valkey) -> None:
    start(house)
    first = deliver(house, message())
    ended(house, first)
    for process in house.processes:
        process.kill9()
    start(house)

    after_restart = deliver(house, message())
    valkey.client().flushall()
    after_loss = deliver(house, message())
    house.gate("recover")
    ended(house, after_loss)

    assert (after_restart.status, after_loss.status) == (200, 202)
    assert after_restart.content == first.content
    assert len(replies(house)) == 1


def test_what_was_accepted_is_answered_though_no_worker_ran_and_its_message_was_lost(
    house: Install, valkey: Valkey
) -> None:
    house.web()
    answer = deliver(house, message())
    assert answer.status == 202
    for process in house.processes:
        process.kill9()
    valkey.client().delete("celery")  # the message; the register has the call
    valkey.client().zadd("gate:{responder}:queued", {answer.content["call"]: 0})  # its grace is over

    start(house)

    assert ended(house, answer)["state"] == "done"
    assert len(replies(house)) == 1


def test_a_person_who_pauses_the_responder_while_it_thinks_loses_no_message(house: Install, valkey: Valkey) -> None:
    """The pause comes between admission and the effect, while the model has not answered; it never does."""
    slow = _Silent()
    house.env.update(GROQ_URL=slow.url, GROQ_API_KEY="key", HTTP_TIMEOUT="40")  # longer than a command takes
    start(house)
    answer = deliver(house, message())
    slow.accept()

    house.gate("pause", "responder", "--why", "looking")
    slow.close()
    page = until(lambda: _page(answer) if _page(answer)["state"] == "waiting" else None, 20, "the call to wait")
    assert page["result"] is None
    assert replies(house) == []
    house.gate("resume", "responder")
    valkey.client().zadd("gate:{responder}:waiting", {answer.content["call"]: 0})  # its minute is over

    assert ended(house, answer)["state"] == "done"
    assert len(replies(house)) == 1


def _page(answer: Answer) -> dict[str, Any]:
    return senders.send(answer.content["status_url"], b"", {}, "GET").content


class _Silent:
    """A server that takes connections and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(patient(20))
        self._taken: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def accept(self) -> None:
        """Wait for a connection."""
        self._taken.append(self._socket.accept()[0])

    def close(self) -> None:
        """Close every connection."""
        for each in (*self._taken, self._socket):
            each.close()
