"""`GET /metrics`: the numbers of this installation for Prometheus."""

from web.metrics.endpoint import routes

__all__ = ["routes"]
