"""Send HTTP requests that are bounded in time and size, and logged."""

from clients.http.exchange import request
from clients.http.reason import reason

__all__ = ["reason", "request"]
