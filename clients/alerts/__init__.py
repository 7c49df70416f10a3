"""Alert channels: the addresses of ALERT_URLS and ALERT_URLS_URGENT, and one message sent to one of them."""

from clients.alerts.channel import AlertChannel, find, ordinary, urgent
from clients.alerts.delivery import AlertAnswer, deliver, problem

__all__ = ["AlertAnswer", "AlertChannel", "deliver", "find", "ordinary", "problem", "urgent"]
