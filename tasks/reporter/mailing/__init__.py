"""The daily report as a mail: its text, its page with pictures, and the folder where it waits to be sent."""

from tasks.reporter.mailing.message import build
from tasks.reporter.mailing.outbox import get, put

__all__ = ["build", "get", "put"]
