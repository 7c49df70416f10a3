"""The mailed report: the numbers of the page, in words and in pictures, always the same bytes, and nothing from outside."""

from __future__ import annotations

import email
import email.policy
import re
import struct
import zlib
from datetime import date, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from lxml import html

import settings
from clients import mail
from tasks.reporter import daily_report, mailing
from tasks.reporter.collect import Desk
from tasks.reporter.daily_report import DailyReport
from tasks.reporter.mailing import outbox, png
from tasks.reporter.mailing.png import Box
from tests.unit.test_report import EVIL, MIDNIGHT, NOW, PAST, attempt, post, raw


def read(report: DailyReport) -> EmailMessage:
    message = email.message_from_string(mailing.build(report), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def text(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


@pytest.fixture
def report() -> DailyReport:
    agents = [raw(past=PAST, posts=[post("Grüße")]), raw("monitor", [attempt(MIDNIGHT, ms=5, agent="monitor")])]
    return daily_report.build(agents, NOW)


def test_the_same_report_has_the_same_bytes_and_each_letter_its_own_id(report: DailyReport) -> None:
    body = mailing.build(report)

    assert body == mailing.build(report)
    body.encode("ascii")
    assert max(len(line) for line in body.split("\r\n")) <= 200
    assert "\n" not in body.replace("\r\n", "")
    letter = mail.complete(body, "ada@example.org", "mail:2026-11-22:ada@example.org")
    assert letter == mail.complete(body, "ada@example.org", "mail:2026-11-22:ada@example.org")
    read_back = email.message_from_string(letter.message, policy=email.policy.default)
    assert read_back["to"] == "ada@example.org"
    assert re.fullmatch(r"<[0-9a-f]{32}@[a-z.]+>", read_back["message-id"])
    assert read_back["date"] == "Sun, 22 Nov 2026 06:30:00 +0100"
    assert read_back["auto-submitted"] == "auto-generated"


def test_the_text_and_the_page_have_the_numbers_of_the_report(report: DailyReport) -> None:
    message = read(report)
    plain, page = text(message, "plain"), html.fromstring(text(message, "html"))

    assert "Gatehouse, 22 November: " in message["subject"]
    assert plain.startswith(f"{report.verdict}\n{report.lead}\n")
    assert "Sat 21      1 done     1 failed     0 unknown     2 refused" in plain
    assert re.search(r"clerk +4 runs +2 failed +3 refused +1 posts", plain)
    assert "Grüße (feed)" in plain
    assert f"{settings.current().public_url}/reports/2026-11-22.html" in plain
    (runs, *_) = page.xpath("//img/@alt")
    assert "Sat 21: 1 done, 1 failed, 2 refused; Sun 22: 2 done, 1 unknown, 1 refused" in runs
    assert page.xpath("string(//h1)") == report.verdict
    rows = {row.xpath("string(th)").strip().split()[0]: row.xpath("td//text()") for row in page.xpath("//tr[th]")}
    assert rows["clerk"]


def test_every_picture_is_in_the_mail_and_nothing_is_loaded_from_outside(report: DailyReport) -> None:
    message = read(report)
    page = html.fromstring(text(message, "html"))

    pictures = {
        part["content-id"].strip("<>"): part.get_content()
        for part in message.walk()
        if part.get_content_type() == "image/png"
    }
    named = [src.removeprefix("cid:") for src in page.xpath("//img/@src")]
    assert set(named) == set(pictures)
    assert len(named) == 1 + 2 + 2
    assert all(page.xpath("//img[not(@alt) or @alt='']") == [] for _ in named)
    assert all(data.startswith(b"\x89PNG") for data in pictures.values())
    assert page.xpath("//script|//link|//style|//svg|//form") == []
    assert {href.partition(":")[0] for href in page.xpath("//@href")} <= {"http", "https"}


def test_a_report_of_six_agents_stays_small(report: DailyReport) -> None:
    agents = [raw(f"agent{n}", PAST, [post(f"Title {i}") for i in range(5)]) for n in range(6)]

    assert len(mailing.build(daily_report.build(agents, NOW))) < 40_000


def test_hostile_words_are_text_and_no_header_in_every_part() -> None:
    hostile = EVIL + "\r\nBcc: evil@example.org\u202e\ud800"
    pause = {"by": hostile, "why": hostile, "at": NOW.isoformat()}
    held = [{"key": hostile, "state": "held", "why": hostile}]
    bad = raw(past=PAST, posts=[post(hostile, url="javascript:alert(1)")], pause=pause, held=held)
    message = read(daily_report.build([bad], NOW, Desk(broken_posts={hostile: hostile}, messages={hostile: 1})))

    page = html.fromstring(text(message, "html"))
    assert page.xpath("//script") == []
    assert page.xpath("//a[starts-with(@href, 'javascript')]") == []
    assert message["bcc"] is None
    assert "<script>" in text(message, "plain")
    assert "\nBcc:" not in text(message, "plain")


def test_a_report_without_agents_or_runs_can_be_mailed() -> None:
    for agents in ([], [raw()]):
        message = read(daily_report.build(agents, NOW))
        assert "All is well." in text(message, "plain")
        assert "How long" not in text(message, "html")


def test_a_very_long_verdict_is_a_short_subject() -> None:
    agents = [raw(f"agent-with-a-long-name-{n}", pause={"by": "x", "why": "y", "at": ""}) for n in range(20)]

    assert len(read(daily_report.build(agents, NOW))["subject"]) <= 150


# The folder


def test_a_message_is_found_by_its_day_and_old_ones_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "current", lambda: settings.read({"STATE_DIR": str(tmp_path)}))
    days = [(date(2026, 1, 1) + timedelta(days=n)).isoformat() for n in range(outbox.KEPT + 5)]

    for day in days:
        mailing.put(day, f"of {day}")

    assert mailing.get(days[-1]) == f"of {days[-1]}"
    assert mailing.get(days[0]) is None
    assert len(list((tmp_path / "mail").iterdir())) == outbox.KEPT
    assert (tmp_path / "mail").stat().st_mode & 0o077 == 0
    assert mailing.get("../../etc/passwd") is None


# Pictures


def test_boxes_become_the_dots_of_a_png() -> None:
    made = png.draw(4, 2, [Box("done", 0, 0, 2, 1), Box("failed", 1, 1, 99, 99), Box("line", -5, -5, 1, 1)], scale=1)

    size = struct.unpack(">II", made[16:24])
    idat = made[made.index(b"IDAT") + 4 : made.index(b"IEND") - 8]
    done, failed = list(png.PALETTE).index("done"), list(png.PALETTE).index("failed")
    assert size == (4, 2)
    assert zlib.decompress(idat) == bytes([0, done, done, 0, 0, 0, 0, failed, failed, failed])
    for kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
        at = made.index(kind)
        (length,) = struct.unpack(">I", made[at - 4 : at])
        (crc,) = struct.unpack(">I", made[at + 4 + length : at + 8 + length])
        assert crc == zlib.crc32(made[at : at + 4 + length])
