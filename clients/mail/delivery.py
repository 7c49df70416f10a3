"""Hand a letter to the mail server, with one log line and one event in the call's history, and tell what is proven.

Refused before the letter's last line, or by the answer to it: not delivered. No answer to the last line: unknown.
"""

from __future__ import annotations

import ssl
import time
from typing import Any

import structlog

from clients.mail import session as sessions
from clients.mail.letter import Letter
from clients.mail.session import NoAnswerToLetter, NotEncrypted, Rejected, Session
from gatekeeper.errors import LeaseExpired, NotApplied, OutcomeUnknown
from gatekeeper.redact import clean
from gatekeeper.run.attempt import current_or_none
from server_urls.smtp_url import SmtpUrl

log = structlog.get_logger("gatehouse.mail")

#: Seconds for a whole delivery: servers that distrust a client let it wait for half a minute.
SECONDS = 60.0


def deliver(server: SmtpUrl, letter: Letter, seconds: float = SECONDS) -> str:
    """Deliver a letter to its one recipient.

    Args:
        server: The mail server.
        letter: The letter.
        seconds: How long it may take; never longer than the attempt's lease.

    Returns:
        The server's answer, without secrets.

    Raises:
        NotApplied: The server has not taken the letter; temporary if the same letter may be taken later.
        OutcomeUnknown: The letter may have been taken.

    """
    started, data = time.monotonic(), letter.message.encode("ascii")
    try:
        with Session(server, _within_the_lease(seconds)) as session:
            session.address(letter.sender, letter.recipient)
            session.send_text(data)
            answer = clean(session.finish())
    except NoAnswerToLetter as error:
        _record(server, started, len(data), "unknown", error=clean(str(error)))
        raise OutcomeUnknown(
            f"{error}; look into the mailbox of {letter.recipient} before you send it again"
        ) from error
    except (Rejected, NotEncrypted, OSError, LeaseExpired) as error:
        not_applied = _not_applied(server, error)
        _record(server, started, len(data), "not applied", error=clean(str(not_applied)), **_code(error))
        raise not_applied from error
    _record(server, started, len(data), "applied", status=250, response=answer)
    return answer


def check(server: SmtpUrl, seconds: float = SECONDS) -> None:
    """Connect, encrypt and sign in, and send nothing; raise NotApplied if that does not work.

    Args:
        server: The mail server.
        seconds: How long it may take.

    """
    try:
        with Session(server, seconds):
            pass
    except (Rejected, NotEncrypted, OSError) as error:
        raise _not_applied(server, error) from error


def _not_applied(server: SmtpUrl, error: Exception) -> NotApplied:
    where = f"the mail server {server.address}"
    match error:
        case Rejected():
            words = f"{where}: {clean(str(error))}"
            change = "" if error.is_temporary else f"{_suspect(error)}: {where} refuses it"
            return NotApplied(words, temporary=error.is_temporary, change=change)
        case NotEncrypted():
            return NotApplied(f"{where}: {error}", temporary=False, change="SMTP_URL")
        case ssl.SSLCertVerificationError():
            words = f"{where}: its certificate: {error.verify_message}"
            return NotApplied(words, temporary=True, change="SMTP_URL: its host must be the certificate's name")
        case LeaseExpired():
            return NotApplied(str(error), temporary=True)
    return NotApplied(f"{where} does not answer: {clean(sessions.reason(error))}", temporary=True)


def _suspect(error: Rejected) -> str:
    """Return the setting that a person has to look at after a permanent answer."""
    if "recipient" in error.what:
        return "REPORT_TO"
    return "the sender of SMTP_URL (from=)" if "sender" in error.what else "SMTP_URL"


def _code(error: Exception) -> dict[str, int]:
    return {"status": error.code} if isinstance(error, Rejected) else {}


def _within_the_lease(seconds: float) -> float:
    attempt = current_or_none()
    return min(seconds, attempt.wire.left_ms / 1000) if attempt else seconds


def _record(server: SmtpUrl, started: float, size: int, outcome: str, **fields: Any) -> None:
    """Write the delivery to the log and, inside a task, to the call's history; the recipient is in the call's key."""
    ms = round((time.monotonic() - started) * 1000)
    line = {"server": server.address, "size": size, "outcome": outcome, "ms": ms}
    names: dict[str, Any] = {}
    attempt = current_or_none()
    if attempt is not None:
        names = {**attempt.call.log_fields(), "attempt": attempt.claim.attempt}
        attempt.append_event("mail", **line, **{name: value for name, value in fields.items() if name != "response"})
    log.info("mail", **names, **line, **fields)
