"""One message to one channel, with the real apprise: what counts as sent, as failed and as in doubt, and what is never shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import settings
from clients import alerts
from clients.alerts import AlertAnswer, AlertChannel
from tests.harness import forks
from tests.harness.ports import free_ports
from tests.providers.receiver import Receiver, slowly


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def deliver(url: str, seconds: float = 60.0) -> AlertAnswer:
    return alerts.deliver(AlertChannel(1, url), "A title", "What, and what to do", seconds=seconds)


def test_a_message_that_is_accepted_is_sent_with_its_words(receiver: Receiver) -> None:
    assert deliver(receiver.url) == AlertAnswer("sent", "accepted")

    (message,) = receiver.messages
    assert (message["title"], message["message"], message["type"]) == ("A title", "What, and what to do", "failure")


def test_a_refusal_and_a_closed_port_are_failures_with_their_reason(receiver: Receiver) -> None:
    receiver.answers = lambda _: 500
    (closed,) = free_ports(1)

    assert deliver(receiver.url) == AlertAnswer("failed", "it answered 500")
    assert deliver(f"json://127.0.0.1:{closed}/") == AlertAnswer("failed", "the connection was refused")


def test_a_receiver_that_does_not_answer_in_time_leaves_a_doubt(receiver: Receiver) -> None:
    receiver.answers = slowly(3)

    assert deliver(f"{receiver.url}?rto=1") == AlertAnswer("unknown", "it did not answer in time")


def test_the_sender_is_killed_when_its_time_is_over(receiver: Receiver) -> None:
    receiver.answers = slowly(60)
    began = time.monotonic()

    answer = deliver(f"{receiver.url}?rto=50", seconds=8)

    assert answer == AlertAnswer("unknown", "it did not answer within 8 s")
    assert time.monotonic() - began < 40


def test_an_address_that_apprise_does_not_understand_is_named_by_its_place() -> None:
    channel = AlertChannel(2, "nonsense://a-very-secret-token", is_urgent=True)

    problem = alerts.problem(channel)

    assert problem.startswith("urgent channel 2 (nonsense): apprise does not understand its address")
    assert "secret" not in problem
    assert "secret" not in repr(channel)
    assert alerts.problem(AlertChannel(1, "ntfy://ntfy.sh/topic")) == ""


def test_the_start_names_a_channel_that_cannot_work_and_the_test_of_channels_needs_nothing_else(
    tmp_path: Path, receiver: Receiver
) -> None:
    (down,) = free_ports(1)
    env = {
        **os.environ,
        "STATE_DIR": str(tmp_path),
        "ALERT_URLS": f"{receiver.url} nonsense://x json://127.0.0.1:{down}",
    }

    check = [sys.executable, "-m", "web.validate_config", "alerts"]
    started = forks.run(check, cwd=settings.ROOT, env=env)
    tried = subprocess.run(
        [str(Path(sys.executable).parent / "gatehouse"), "alert-test", "--json"],
        cwd=settings.ROOT, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (started.returncode, started.stderr.count("\n")) == (1, 1)
    assert "alert channel 2 (nonsense)" in started.stderr
    assert tried.returncode == 1
    told = {each["channel"]: each["answer"] for each in json.loads(tried.stdout)}
    assert told == {
        "alert channel 1 (json)": "sent",
        "alert channel 2 (nonsense)": "failed",
        "alert channel 3 (json)": "failed",
    }
    assert len(receiver.messages) == 1
