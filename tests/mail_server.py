"""A mail server on the loopback that keeps what it takes, and misbehaves as it is told."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.harness.ports import free_ports


@dataclass(frozen=True)
class Taken:
    """A letter that the server took."""

    sender: str
    recipients: list[str]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        read = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(read, EmailMessage)
        return read


class _Protocol(SMTP):
    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802 - a name of aiosmtpd
        if self.event_handler.mode == "trickle":
            for _ in range(1000):
                await self.push("250-X-NEVER-ENDS")
                await asyncio.sleep(0.05)
        await super().smtp_EHLO(hostname)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - a name of aiosmtpd
        if self.event_handler.mode == "break before the text":
            cast("asyncio.Transport", self.transport).abort()
            return
        await super().smtp_DATA(arg)


class MailServer:
    """The server: `taken` are the letters, `answers` what some recipients are told, `mode` how the text is answered."""

    def __init__(
        self, *, login: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None, starttls: bool = False
    ) -> None:
        self.taken: list[Taken] = []
        self.answers: dict[str, str] = {}
        self.mode = "ok"
        self.reached = 0  #: how many letters came to their last line
        self._login = login
        (self.port,) = free_ports(1)
        options: dict[str, Any] = {"tls_context": tls} if starttls else {}
        if login:
            options |= {"authenticator": self._authenticate, "auth_require_tls": starttls}
        self._options = {"port": self.port, "ssl_context": None if starttls else tls, **options}
        self._controller: _Controller | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def start(self) -> MailServer:
        self._controller = _Controller(self, hostname="127.0.0.1", **self._options)
        self._controller.start()
        return self

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
        self._controller = None

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: Any) -> str:  # noqa: N802 - a name of aiosmtpd
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802 - a name of aiosmtpd
        self.reached += 1
        mode = self.mode
        if mode.startswith(("4", "5", "3", "7")):
            return mode
        self.taken.append(Taken(str(envelope.mail_from), envelope.rcpt_tos, cast("bytes", envelope.content)))
        if mode == "break after the dot":
            cast("asyncio.Transport", server.transport).abort()
        if mode == "silent after the dot":
            await asyncio.sleep(60)
        return "250 2.0.0 queued as 4711"

    def _authenticate(self, _: Any, __: Any, ___: Any, ____: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=known, handled=False)


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Protocol(self.handler, **self.SMTP_kwargs)
