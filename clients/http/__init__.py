"""Talking HTTP: one bounded, logged request."""

from clients.http.exchange import request

__all__ = ["request"]
