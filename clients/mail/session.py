"""One session with a mail server, bounded in time, and the line after which a letter may be on its way.

A server takes a letter with its answer to the line with a dot that ends the text. So that line is sent apart: whatever goes
wrong before it has delivered nothing, and what goes wrong from there on, without an answer, is unknown.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from clients.http import reason as words_of
from gatekeeper.errors import LeaseExpired
from server_urls.smtp_url import SmtpUrl

#: Bytes of one line of a server, and of all its lines in one session.
MAX_LINE, MAX_REPLIES = 8192, 64 * 1024
#: Seconds to wait for a connection to one of the server's addresses.
CONNECT_SECONDS = 10.0
#: How we introduce ourselves; the name of this machine is nobody's business and may take a slow look-up.
OWN_NAME = "[127.0.0.1]"

_LINE_END = re.compile(rb"\r\n|\r|\n")
_LINE_WITH_DOT = re.compile(rb"^\.", re.MULTILINE)


class Rejected(Exception):
    """Raised when the server answered no; it has not taken the letter."""

    def __init__(self, what: str, code: int, text: bytes) -> None:
        self.what, self.code = what, code
        self.text = " ".join(text.decode(errors="replace").split())
        super().__init__(f"{what}: {code} {self.text}")

    @property
    def is_temporary(self) -> bool:
        """True if the server will answer otherwise later."""
        return self.code < 500  # noqa: PLR2004 - the class of permanent answers


class NotEncrypted(Exception):
    """Raised when the server offers no STARTTLS; the message says what to change."""


class NoAnswerToLetter(Exception):
    """Raised when the whole letter may have reached the server, and no answer came."""


class Session:
    """A connection to the server, from its greeting to `QUIT`.

    Args:
        server: The server.
        seconds: How long the whole session may take.

    """

    def __init__(self, server: SmtpUrl, seconds: float) -> None:
        self._server = server
        self._ends = time.monotonic() + seconds
        self._smtp = smtplib.SMTP(local_hostname=OWN_NAME)
        self._allowed = MAX_REPLIES

    def __enter__(self) -> Self:
        """Connect, encrypt and sign in.

        Raises:
            Rejected: The server answered no.
            NotEncrypted: The server does not offer STARTTLS.
            OSError: There is no connection, or it broke.

        """
        try:
            self._connect()
            self._greet()
            if self._server.security == "starttls":
                self._encrypt()
            if self._server.username:
                self._sign_in()
        except BaseException:
            self._smtp.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # What the server said of the letter counts; an error here would hide it.
        with suppress(OSError, LeaseExpired):
            if error is None:
                self._smtp.putcmd("quit")
        with suppress(OSError):
            self._smtp.close()

    def address(self, sender: str, recipient: str) -> None:
        """Name sender and recipient, and announce the text; raise Rejected if the server does not want one of them."""
        self._ask(f"MAIL FROM:<{sender}>", "the sender was refused")
        self._ask(f"RCPT TO:<{recipient}>", "the recipient was refused")
        self._ask("DATA", "the letter was refused", expect=354)

    def send_text(self, message: bytes) -> None:
        """Send the letter without its last line: the server waits for it, and has taken nothing."""
        text = _LINE_WITH_DOT.sub(b"..", _LINE_END.sub(b"\r\n", message))
        self._write(text if text.endswith(b"\r\n") else text + b"\r\n")

    def finish(self) -> str:
        """Send the line that ends the letter, and return the server's answer.

        Raises:
            Rejected: The server did not take the letter.
            NoAnswerToLetter: No answer came, so that nobody knows.

        """
        try:
            self._write(b".\r\n")
            code, text = self._reply()
        except LeaseExpired:
            raise
        except Exception as error:
            raise NoAnswerToLetter(f"the whole letter was sent, but no answer came: {reason(error)}") from error
        if not 200 <= code < 300:  # noqa: PLR2004 - the class of consent
            if 400 <= code < 600:  # noqa: PLR2004 - the classes of refusal
                raise Rejected("the letter was refused", code, text)
            raise NoAnswerToLetter(f"the whole letter was sent, and the answer is not one of mail: {code}")
        return " ".join(text.decode(errors="replace").split())

    def _connect(self) -> None:
        server = self._server
        sock = socket.create_connection((server.host, server.port), min(self._left(), CONNECT_SECONDS))
        self._use(self._encrypted(sock) if server.security == "tls" else sock)
        code, text = self._reply()
        if code != 220:  # noqa: PLR2004 - the greeting
            raise Rejected("the server does not accept mail", code, text)

    def _use(self, sock: socket.socket) -> None:
        self._smtp.sock = sock
        self._smtp.file = _BoundedLines(self, sock)

    def _encrypted(self, sock: socket.socket) -> ssl.SSLSocket:
        try:
            sock.settimeout(self._left())
            context = ssl.create_default_context(cafile=self._server.ca or None)
            return context.wrap_socket(sock, server_hostname=self._server.host)
        except BaseException:
            sock.close()
            raise

    def _greet(self) -> None:
        code, text = self._smtp.ehlo()
        if code != 250:  # noqa: PLR2004 - consent to EHLO
            raise Rejected("the server refuses this client", code, text)

    def _encrypt(self) -> None:
        if not self._smtp.has_extn("starttls"):
            raise NotEncrypted("the server offers no STARTTLS; write smtps://, or starttls=no if nobody can listen")
        self._ask("STARTTLS", "encryption was refused", expect=220)
        plain = self._smtp.sock
        assert plain is not None  # noqa: S101 - it has just answered
        self._use(self._encrypted(plain))
        self._greet()

    def _sign_in(self) -> None:
        try:
            self._smtp.login(self._server.username, self._server.password)
        except smtplib.SMTPAuthenticationError as error:
            raise Rejected("the login was refused", error.smtp_code, _bytes(error.smtp_error)) from None
        except smtplib.SMTPNotSupportedError:
            raise Rejected("the login was refused", 500, b"the server offers no login that this client knows") from None

    def _ask(self, command: str, what: str, expect: int = 250) -> None:
        self._write(command.encode("ascii") + b"\r\n")
        code, text = self._reply()
        if code not in {expect, 251 if expect == 250 else expect}:  # noqa: PLR2004 - 251: it forwards
            raise Rejected(what, code, text)

    def _write(self, data: bytes) -> None:
        """Send bytes through smtplib, which announces them: a process that lost its lease is kept from sending."""
        if self._smtp.sock is not None:
            self._smtp.sock.settimeout(self._left())
        self._smtp.send(data)

    def _reply(self) -> tuple[int, bytes]:
        code, text = self._smtp.getreply()
        return code, text

    def _left(self) -> float:
        """Return the seconds that are left; raise TimeoutError if there are none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the mail server took too long")
        return left

    def allow(self, size: int) -> None:
        """Count bytes of the server; raise ConnectionError if it never stops."""
        self._allowed -= size
        if self._allowed < 0:
            raise ConnectionError(f"the mail server answered with more than {MAX_REPLIES} bytes")


class _BoundedLines:
    """The lines of a server as `smtplib` reads them. Each wait is shortened to what is left of the session."""

    def __init__(self, session: Session, sock: socket.socket) -> None:
        self._session, self._sock, self._read = session, sock, b""

    def readline(self, limit: int = MAX_LINE) -> bytes:
        """Return a line with its end; less at the end of the connection, or if it is longer than `limit` bytes."""
        while b"\n" not in self._read and len(self._read) < limit:
            self._sock.settimeout(self._session._left())  # noqa: SLF001 - one class in two parts
            more = self._sock.recv(4096)
            if not more:
                break
            self._session.allow(len(more))
            self._read += more
        end = min(self._read.find(b"\n") + 1 or len(self._read), limit)
        line, self._read = self._read[:end], self._read[end:]
        return line

    def close(self) -> None:
        """Do nothing: the session closes its connection."""


def reason(error: BaseException) -> str:
    """Return why a connection broke, in the words of the operating system; `smtplib` hides them."""
    behind = error.__context__ if isinstance(error, smtplib.SMTPServerDisconnected) else None
    if isinstance(behind, TimeoutError):
        return "the mail server took too long"
    return words_of(behind or error)


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode(errors="replace")
