"""A letter: the bytes of one message for one recipient, always the same for the same text and key."""

from __future__ import annotations

import hashlib
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel

import settings
from clients.http.public_only import is_ip_address
from server_urls import smtp_url
from server_urls.smtp_url import SmtpUrl

#: The name beside the address that mail comes from.
NAME = "Gatehouse"


def _address(text: str) -> str:
    if not smtp_url.is_address(text):
        raise ValueError(f"{text!r} is not a mail address")
    return text


Address = Annotated[str, AfterValidator(_address)]


class Letter(BaseModel):
    """A message as it is sent: `message` has its headers, an empty line and its body, in ASCII with CRLF."""

    sender: Address
    recipient: Address
    message: str


def complete(body: str, recipient: str, key: str) -> Letter:
    """Return the letter of a body for a recipient.

    Args:
        body: A message in ASCII with all headers but From, To and Message-ID.
        recipient: The address.
        key: What the letter stands for: the same key has the same Message-ID, by which a reader's program may drop a
            second copy.

    """
    from_ = sender()
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    head = f"From: {NAME} <{from_}>\r\nTo: {recipient}\r\nMessage-ID: <{digest}@{from_.rpartition('@')[2]}>\r\n"
    return Letter(sender=from_, recipient=recipient, message=head + body)


def own_server() -> SmtpUrl | None:
    """Return the server of `SMTP_URL`; None if there is none."""
    url = settings.current().smtp_url
    return smtp_url.read(url) if url else None


def sender() -> str:
    """Return the address that mail comes from: that of `SMTP_URL`, or else `gatehouse@` and the name in `PUBLIC_URL`."""
    server = own_server()
    if server and server.sender:
        return server.sender
    host = urlsplit(settings.current().public_url).hostname or ""
    guess = f"gatehouse@{host}"
    return guess if smtp_url.is_address(guess) and not is_ip_address(host) else "gatehouse@localhost"
