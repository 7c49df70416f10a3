"""Send HTTP requests that are bounded in time and size, and logged."""

from clients.http.exchange import request

__all__ = ["request"]
