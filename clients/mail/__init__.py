"""Mail: complete a letter, and hand it to the server of `SMTP_URL`, with one log line per letter."""

from clients.mail.delivery import check, deliver
from clients.mail.letter import Letter, complete, own_server, sender

__all__ = ["Letter", "check", "complete", "deliver", "own_server", "sender"]
