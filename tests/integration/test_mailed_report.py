"""The daily report by mail, through the gate and a real worker: each address gets it at most once, whatever breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness import Install, until
from tests.harness.polling import avoid_midnight
from tests.harness.process import Process
from tests.mail_server import MailServer

ADA, BOB, EVE = "ada@example.org", "bob@example.org", "eve@example.org"
WAIT = 30.0


@pytest.fixture
def mails() -> Iterator[MailServer]:
    server = MailServer().start()
    yield server
    server.stop()


@pytest.fixture
def house(install: Install, mails: MailServer) -> Install:
    """An installation that mails its reports to two people, and whose first report is written."""
    avoid_midnight(minutes=3)  # the keys of the letters have the day in them
    install.env |= {"SMTP_URL": f"{mails.url}?from=gatehouse@example.org", "REPORT_TO": f"{ADA}, {BOB}"}
    return install


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def key(recipient: str) -> str:
    return f"mail:{today()}:{recipient}"


def report(house: Install) -> dict[str, Any]:
    return house.answer(house.call("tasks.reporter.report"), deadline=WAIT)


def start(house: Install) -> Process:
    """Start a worker, and let it write the first report ever, which is not mailed."""
    worker = house.worker()
    assert report(house)["ok"]
    return worker


def state(house: Install, recipient: str) -> str:
    return str(house.explain(key(recipient))["state"])


def ends(house: Install, recipient: str, expected: str) -> dict[str, Any]:
    until(lambda: state(house, recipient) == expected, WAIT, f"the letter to {recipient} to be {expected}")
    return house.explain(key(recipient))


@pytest.mark.slow
@pytest.mark.timeout(360)
def test_a_refused_recipient_does_not_make_the_others_get_the_report_twice(house: Install, mails: MailServer) -> None:
    mails.answers[BOB] = "550 5.1.1 no such user"
    worker = start(house)
    assert mails.taken == []

    report(house)
    ada, bob = ends(house, ADA, "done"), ends(house, BOB, "rejected")
    mails.answers.clear()
    report(house)
    ends(house, BOB, "done")
    report(house)

    got = Counter(to for taken in mails.taken for to in taken.recipients)
    assert got == {ADA: 1, BOB: 1}
    (first, second) = mails.taken
    assert first.message["message-id"] != second.message["message-id"]
    assert first.message.get_body(("plain",)) is not None
    assert "550" in str(bob["story"])
    assert any(event["event"] == "mail" for event in ada["story"])
    until(lambda: house.state("reporter")["metrics"]["total_mailed"] == 2, what="both letters in the state file")
    assert "no such user" in worker.output
    assert '"event": "mail"' in worker.output


@pytest.mark.slow
@pytest.mark.timeout(360)
def test_a_server_that_is_down_gets_the_letter_later_and_one_that_breaks_off_is_for_a_person(
    house: Install, mails: MailServer
) -> None:
    start(house)
    mails.stop()
    report(house)
    waiting = ends(house, ADA, "waiting")
    assert "does not answer: Connection refused" in str(waiting["story"])

    mails.mode = "break after the dot"
    mails.start()
    house.gate("explain", key(ADA))
    until(lambda: mails.reached == 2, 90, "both letters to be tried again")
    ends(house, ADA, "unknown")

    assert Counter(to for taken in mails.taken for to in taken.recipients) == {ADA: 1, BOB: 1}
    (held,) = [each for each in house.gate("held") if each["key"] == key(ADA)]
    assert held["payload"]["recipient"] == ADA
    assert "Subject: Gatehouse, " in held["payload"]["message"]
    mails.mode = "ok"
    report(house)
    house.gate("resolve", key(ADA), "--applied", "--why", "it is in the mailbox")
    assert state(house, ADA) == "done"
    assert mails.reached == 2


@pytest.mark.slow
@pytest.mark.timeout(360)
def test_a_worker_killed_in_mid_send_leaves_one_letter_and_a_key_in_doubt(house: Install, mails: MailServer) -> None:
    house.env["REPORT_TO"] = ADA
    worker = start(house)
    mails.mode = "silent after the dot"
    house.call("tasks.reporter.report")
    until(lambda: mails.reached == 1, WAIT, "the letter to reach its last line")

    worker.kill9()
    mails.mode = "ok"
    house.worker()
    ends(house, ADA, "unknown")
    report(house)

    assert mails.reached == 1
    assert state(house, ADA) == "unknown"
    house.gate("resolve", key(ADA), "--not-applied", "--why", "it is not in the mailbox")
    ends(house, ADA, "done")
    first, second = mails.taken
    assert first.raw == second.raw


@pytest.mark.slow
@pytest.mark.timeout(360)
def test_the_report_goes_to_nobody_else_and_there_must_be_one(house: Install, mails: MailServer) -> None:
    start(house)

    eve = house.answer(house.call("tasks.reporter.mail", day=today(), recipient=EVE))
    past = house.answer(house.call("tasks.reporter.mail", day="2020-01-01", recipient=ADA))

    assert "is not in REPORT_TO" in eve["error"]
    assert "there is no report of 2020-01-01 to mail" in past["error"]
    assert EVE not in {to for taken in mails.taken for to in taken.recipients}
