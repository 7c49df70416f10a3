"""The URL of the mail server: encrypted unless nobody can listen, and refused in one sentence that shows no password."""

from __future__ import annotations

from pathlib import Path

import pytest

import settings
from server_urls import smtp_url
from server_urls.smtp_url import SmtpUrl, UnusableMailUrl
from settings import SettingsError


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("smtp://mail.example.org", SmtpUrl("mail.example.org", 25, "starttls")),
        ("smtp://mail.example.org?starttls=no", SmtpUrl("mail.example.org", 25, "none")),
        (
            "smtp://ada%40example.org:p%2Fw@mail.example.org/",
            SmtpUrl("mail.example.org", 587, "starttls", "ada@example.org", "p/w", "ada@example.org"),
        ),
        (
            "smtps://ada:pw@MAIL.example.org?from=desk+1@example.org",
            SmtpUrl("mail.example.org", 465, "tls", "ada", "pw", "desk+1@example.org"),
        ),
        ("smtp://127.0.0.1:2525", SmtpUrl("127.0.0.1", 2525, "none")),
        ("smtp://ada:pw@localhost", SmtpUrl("localhost", 587, "none", "ada", "pw")),
        ("smtp://[::1]:25?starttls=yes", SmtpUrl("::1", 25, "starttls")),
    ],
)
def test_a_url_becomes_a_server(url: str, found: SmtpUrl) -> None:
    assert smtp_url.read(url) == found


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mail.example.org:25", "must start with smtp://"),
        ("http://mail.example.org", "must start with smtp://"),
        ("smtp://", "must start with smtp://"),
        ("smtp://-bad..name", "must start with smtp://"),
        ("smtp://" + "a" * 64, "must start with smtp://"),
        ("smtp://h:port", "write a number as its port"),
        ("smtp://h:0", "the port 0"),
        ("smtp://h/path", "has a path"),
        ("smtp://u:hunter2/x@h", "cannot be read"),
        ("smtp://u:hunter2#x@h", "cannot be read"),
        ("smtp://u@h", "a user and no password"),
        ("smtp://:hunter2@h", "a user and no password"),
        ("smtp://u:hunter2@h?starttls=no", "would send the password unencrypted"),
        ("smtp://u:hunter2@h?starttls=maybe", "write starttls=yes or starttls=no"),
        ("smtps://u:hunter2@h?starttls=yes", "encrypts from the first byte"),
        ("smtp://h?tls=no", "unknown option 'tls'; the options are starttls, from, ca"),
        ("smtp://h?from=a@b&from=c@d", "has the option from twice"),
        ("smtp://h?from=ada", "has a from= that is not an address"),
        ("smtp://h?from=a@b%0d%0aBcc:x@y", "has a from= that is not an address"),
        ("smtp://h?ca=nowhere.pem", "has a ca= that is not the whole path"),
        ("smtp://u:hünter2@h", "not plain ASCII"),
        ("smtp://u:hunter2 x@h", "a space or a control character"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str, why: str) -> None:
    with pytest.raises(UnusableMailUrl) as refused:
        smtp_url.read(url)

    assert why in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_server_shows_no_login_when_it_is_printed(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")

    server = smtp_url.read(f"smtps://ada:hunter2@[::1]:99?ca={tmp_path}/ca.pem")

    assert (server.address, server.ca) == ("[::1]:99", f"{tmp_path}/ca.pem")
    assert "hunter2" not in repr(server)


@pytest.mark.parametrize("text", ["ada@example.org", "a.b+c@x", "A_1@sub.example.org", "a" * 64 + "@b"])
def test_an_address_is_known_as_one(text: str) -> None:
    assert smtp_url.is_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "ada", "@b", "a@", "a b@c", "a@b c", "a@b\n", "a\r\nBcc: x@y", ".a@b", "a.@b", "a..b@c", "a@b..c", "a@-b", "ü@b", '"a"@b', "a@b@c", "<a@b>", "a" * 65 + "@b", "a@" + "b" * 260],
)  # fmt: skip
def test_what_would_break_a_header_or_a_command_is_not_an_address(text: str) -> None:
    assert not smtp_url.is_address(text)


def test_the_settings_name_the_variable_and_hide_the_password() -> None:
    found = settings.read({"SMTP_URL": "smtps://ada:p%2Fw@h", "REPORT_TO": " a@b.c, d@e.f  a@b.c "})

    assert found.report_to == ("a@b.c", "d@e.f")
    assert "p/w" in found.secrets
    with pytest.raises(SettingsError, match="SMTP_URL must start with smtp://"):
        settings.read({"SMTP_URL": "mail"})
    with pytest.raises(SettingsError, match="REPORT_TO names 'ada', which is not a mail address"):
        settings.read({"REPORT_TO": "ada"})
