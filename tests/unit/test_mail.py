"""The mail client against a real server: what was refused, what is unknown, and what nobody can read on the way."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import settings
from clients import mail
from clients.mail import Letter, session
from gatekeeper.errors import LeaseExpired, NotApplied, OutcomeUnknown
from gatekeeper.run.http_guard import Wire
from gatekeeper.run.http_outcome import proves_nothing_was_sent
from server_urls import smtp_url
from tests.harness import patient
from tests.harness.ports import free_ports
from tests.mail_server import MailServer
from tests.unit.test_wire import attempt

LETTER = Letter(
    sender="gatehouse@example.org",
    recipient="ada@example.org",
    message="Subject: hello\r\n\r\n.one dot\r\n..two\r\n.\r\nend",
)

Servers = Callable[..., MailServer]


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Make servers that are stopped in the end."""
    made: list[MailServer] = []

    def make(**options: Any) -> MailServer:
        made.append(MailServer(**options).start())
        return made[-1]

    yield make
    for each in made:
        each.mode = "ok"
        each.stop()


@pytest.fixture
def server(servers: Servers) -> MailServer:
    return servers()


def deliver(server: MailServer, seconds: float = 5.0, letter: Letter = LETTER, url: str = "") -> str:
    return mail.deliver(smtp_url.read(url or server.url), letter, seconds)


def refusal(server: MailServer, **options: Any) -> NotApplied:
    with pytest.raises(NotApplied) as refused:
        deliver(server, **options)
    return refused.value


def test_a_letter_arrives_as_it_was_written_with_its_dots(server: MailServer) -> None:
    assert deliver(server) == "2.0.0 queued as 4711"

    (taken,) = server.taken
    assert (taken.sender, taken.recipients) == ("gatehouse@example.org", ["ada@example.org"])
    assert taken.raw == LETTER.message.encode() + b"\r\n"


def test_line_ends_of_other_systems_end_no_letter_early(server: MailServer) -> None:
    smuggled = LETTER.model_copy(update={"message": "Subject: x\n\nhello\n.\nMAIL FROM:<evil@example.org>\r.\rend"})

    deliver(server, letter=smuggled)

    (taken,) = server.taken
    assert taken.raw == b"Subject: x\r\n\r\nhello\r\n.\r\nMAIL FROM:<evil@example.org>\r\n.\r\nend\r\n"


@pytest.mark.parametrize(
    ("answer", "temporary", "change"),
    [
        ("550 5.1.1 no such user", False, "REPORT_TO"),
        ("450 4.2.0 greylisted", True, ""),
        ("451 4.3.0 try later", True, ""),
    ],
)
def test_a_refused_recipient_got_nothing_and_the_class_of_the_answer_says_whether_it_may_later(
    server: MailServer, answer: str, temporary: bool, change: str
) -> None:
    server.answers["ada@example.org"] = answer

    refused = refusal(server)

    assert (refused.temporary, refused.change.partition(":")[0]) == (temporary, change)
    assert f"the recipient was refused: {answer}" in str(refused)
    assert server.reached == 0


@pytest.mark.parametrize(("answer", "temporary"), [("452 full", True), ("554 spam", False)])
def test_a_letter_refused_after_its_text_was_not_delivered(server: MailServer, answer: str, temporary: bool) -> None:
    server.mode = answer

    refused = refusal(server)

    assert refused.temporary is temporary
    assert "the letter was refused" in str(refused)


@pytest.mark.parametrize("answer", ["354 go on", "700 odd"])
def test_an_answer_to_the_text_that_is_none_proves_nothing(server: MailServer, answer: str) -> None:
    server.mode = answer

    with pytest.raises(OutcomeUnknown, match="the answer is not one of mail"):
        deliver(server)


def test_a_server_that_is_down_got_nothing(servers: Servers) -> None:
    server = servers()
    server.stop()

    refused = refusal(server)

    assert refused.temporary is True
    assert str(refused) == f"the mail server 127.0.0.1:{server.port} does not answer: Connection refused"


def test_a_name_that_does_not_exist_got_nothing(server: MailServer) -> None:
    assert refusal(server, url="smtp://nowhere.invalid?starttls=no").temporary is True


def test_a_break_before_the_text_is_not_applied_and_one_after_the_last_line_is_unknown(server: MailServer) -> None:
    server.mode = "break before the text"
    assert refusal(server).temporary is True

    server.mode = "break after the dot"
    with pytest.raises(OutcomeUnknown, match=r"no answer came.* look into the mailbox of ada@example\.org"):
        deliver(server)
    assert len(server.taken) == 1


def test_a_server_that_says_nothing_after_the_last_line_is_unknown_in_time(server: MailServer) -> None:
    server.mode = "silent after the dot"
    started = time.monotonic()

    with pytest.raises(OutcomeUnknown, match="took too long"):
        deliver(server, seconds=2)

    assert time.monotonic() - started < patient(3)


def test_a_server_that_trickles_for_ever_is_left_in_time(server: MailServer) -> None:
    server.mode = "trickle"
    started = time.monotonic()

    assert "took too long" in str(refusal(server, seconds=0.7))
    assert time.monotonic() - started < 3


def test_a_server_that_never_stops_is_left_after_so_many_bytes(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MAX_REPLIES", 100)
    server.mode = "trickle"

    assert "more than 100 bytes" in str(refusal(server))


def test_an_error_while_saying_good_bye_does_not_undo_a_delivery(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ConnectionResetError

    monkeypatch.setattr("smtplib.SMTP.putcmd", lambda self, cmd, *a: broken() if cmd == "quit" else self.send(f"{cmd} {' '.join(a)}\r\n"))  # fmt: skip

    assert deliver(server) == "2.0.0 queued as 4711"


# Encryption and logins


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """The file of a certificate for 127.0.0.1 that nobody else trusts, and what a server needs of it."""
    folder, key = tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1())
    name, now = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")]),
        dt.datetime.now(dt.UTC),
    )
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file, private = folder / "ca.pem", folder / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding, form, secret = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    private.write_bytes(key.private_bytes(encoding, form, secret))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, private)
    return file, context


@pytest.mark.parametrize("starttls", [True, False])
def test_a_certificate_is_checked_and_an_own_authority_can_be_named(
    servers: Servers, authority: tuple[Path, ssl.SSLContext], starttls: bool
) -> None:
    file, context = authority
    server = servers(tls=context, starttls=starttls, login=("ada", "secret"))
    url = f"smtp://ada:secret@127.0.0.1:{server.port}?starttls=yes" if starttls else f"smtps://ada:secret@127.0.0.1:{server.port}?"  # fmt: skip

    refused = refusal(server, url=url.rstrip("?"))
    assert "its certificate: self-signed certificate" in str(refused)
    assert deliver(server, url=f"{url}&ca={file}".replace("?&", "?"))
    assert len(server.taken) == 1


def test_a_server_without_starttls_gets_neither_password_nor_letter(servers: Servers) -> None:
    server = servers(login=("ada", "secret"))

    refused = refusal(server, url=f"smtp://ada:secret@127.0.0.1:{server.port}?starttls=yes")

    assert (refused.temporary, refused.change) == (False, "SMTP_URL")
    assert "offers no STARTTLS" in str(refused)


def test_a_wrong_password_is_permanent_and_not_shown(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = servers(login=("ada", "secret"))
    monkeypatch.setenv("SMTP_URL", f"smtp://ada:hunter2@127.0.0.1:{server.port}")

    refused = refusal(server, url=f"smtp://ada:hunter2@127.0.0.1:{server.port}")

    assert (refused.temporary, refused.change.partition(":")[0]) == (False, "SMTP_URL")
    assert "the login was refused: 535" in str(refused)
    assert "hunter2" not in str(refused) + capsys.readouterr().out


def test_a_check_signs_in_and_sends_nothing(servers: Servers) -> None:
    server = servers(login=("ada", "secret"))

    mail.check(smtp_url.read(f"smtp://ada:secret@127.0.0.1:{server.port}"))
    with pytest.raises(NotApplied, match="the login was refused"):
        mail.check(smtp_url.read(f"smtp://ada:wrong@127.0.0.1:{server.port}"))

    assert server.reached == 0


# Inside an effect


def test_inside_an_effect_the_connection_counts_as_sent_and_what_the_client_says_is_believed(
    server: MailServer,
) -> None:
    with attempt() as wire:
        wire.begin_effect()
        deliver(server)
        assert wire.since_the_line >= 1

    with attempt() as wire:
        wire.begin_effect()
        (closed,) = free_ports(1)
        with pytest.raises(NotApplied) as refused:
            deliver(server, url=f"smtp://127.0.0.1:{closed}")
        assert proves_nothing_was_sent(refused.value, wire.since_the_line)


def test_a_process_that_lost_its_lease_sends_no_last_line(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with attempt() as wire:
        wire.begin_effect()
        send_text = session.Session.send_text

        def slept(self: session.Session, message: bytes) -> None:
            send_text(self, message)
            wire.lease_ends_ms = 0

        monkeypatch.setattr(session.Session, "send_text", slept)
        refused = refusal(server)

    assert "longer than its lease" in str(refused)
    assert server.reached == 0


def test_an_author_who_takes_smtplib_itself_is_counted_and_kept_from_sending_after_the_lease(
    server: MailServer,
) -> None:
    def own(wire: Wire | None = None) -> None:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as smtp:
            if wire is not None:
                wire.lease_ends_ms = 0
            smtp.sendmail(LETTER.sender, [LETTER.recipient], LETTER.message)

    with attempt() as wire:
        own()
        assert wire.since_the_line >= 1
        assert not proves_nothing_was_sent(smtplib.SMTPServerDisconnected(), wire.since_the_line)
    with attempt() as wire, pytest.raises(LeaseExpired):
        own(wire)
    assert len(server.taken) == 1


# The log


def test_a_delivery_is_one_line_of_the_log_without_the_address_and_the_text(
    server: MailServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers["bob@example.org"] = "550 no such user"

    deliver(server)
    refusal(server, letter=LETTER.model_copy(update={"recipient": "bob@example.org"}))

    shown = capsys.readouterr().out
    assert shown.count("outcome") == 2, shown
    assert f"127.0.0.1:{server.port}" in shown
    assert "ada@" not in shown
    assert "one dot" not in shown


# Letters


def test_the_sender_is_that_of_the_url_or_made_of_the_public_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def sender(**environ: str) -> str:
        monkeypatch.setattr(settings, "current", lambda: settings.read(environ))
        return mail.sender()

    assert sender(SMTP_URL="smtp://h?from=a@b.c") == "a@b.c"
    assert sender(SMTP_URL="smtps://a%40b.c:pw@h") == "a@b.c"
    assert sender(SMTP_URL="smtp://h", PUBLIC_URL="https://desk.example.org/x") == "gatehouse@desk.example.org"
    assert sender(SMTP_URL="smtp://h") == "gatehouse@localhost"


def test_the_same_key_has_the_same_bytes_and_another_one_another_message_id() -> None:
    first, again = (mail.complete("Subject: x\r\n\r\nhello", "a@b.c", "mail:1:a@b.c") for _ in range(2))
    other = mail.complete("Subject: x\r\n\r\nhello", "a@b.c", "mail:2:a@b.c")

    assert first == again
    assert json.loads(first.model_dump_json())["message"].startswith("From: Gatehouse <gatehouse@")
    assert first.message != other.message


@pytest.mark.parametrize("recipient", ["", "a@b\r\nBcc: x@y", "a b@c", "ü@b.c"])
def test_a_letter_to_what_is_not_an_address_cannot_be_made(recipient: str) -> None:
    with pytest.raises(ValueError, match="is not a mail address"):
        mail.complete("Subject: x\r\n\r\nhello", recipient, "k")
