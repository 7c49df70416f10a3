"""Send one alert to one channel: what the task `tasks.monitor.alert` does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import structlog

import gatekeeper
from clients import alerts
from clients.alerts import AlertChannel
from state import decision_link, hints
from state.agents import incidents
from state.ledger import Ledger
from tasks.monitor.records import AlertText

log = structlog.get_logger("gatehouse.alerts")

#: Under this name a call keeps how often it is not known whether the alert arrived.
IN_DOUBT = "in doubt"
#: Seconds until an alert is sent again that may have arrived: after so many doubts in a row. Each may be a second copy.
PAUSES = (120.0, 900.0, 3600.0, 14_400.0)


def send(alert: str, channel: str) -> dict[str, Any]:
    """Send an alert to a channel.

    Args:
        alert: The id of the alert.
        channel: The name of the channel.

    Returns:
        What the channel answered.

    Raises:
        Refused: The alert or the channel is not known any more.
        NotApplied: The channel did not accept it, or did not answer; the call waits and is tried again.

    """
    text, to = incidents.alert(alert), alerts.find(channel)
    if not text:
        raise gatekeeper.Refused(f"the alert {alert} is older than three days, and was forgotten")
    if to is None:
        raise gatekeeper.Refused(f"ALERT_URLS and ALERT_URLS_URGENT have no channel {channel} any more")
    message, doubts = AlertText.model_validate_json(text), int(gatekeeper.recall(IN_DOUBT) or 0)
    answer = alerts.deliver(to, f"Gatehouse: {message.title}", body(message, again=doubts > 0), bad=message.bad)
    if answer.outcome == "sent":
        log.info("alert sent", channel=str(to), alert=alert)
        return {"channel": str(to), "answer": answer.why}
    raise _later(to, alert, answer, doubts)


def body(message: AlertText, *, again: bool = False) -> str:
    """Return the text of an alert with the link to its page, which is signed and lasts a day where it can decide."""
    first = ["This may be a second copy: it is not known whether the first one arrived.", ""] if again else []
    return "\n".join([*first, message.body, f"Page: {link(message)}"])


def link(message: AlertText) -> str:
    """Return the address of the page of an alert."""
    waiting = Ledger().waiting_one(message.agent, message.key) if message.key else None
    if waiting is not None:
        with suppress(OSError):  # without the secret that signs it, the link leads to the page of the key
            return decision_link.decision_link(message.agent, message.key, waiting.version)
    return decision_link.page_url(message.page or "/")


def _later(to: AlertChannel, alert: str, answer: alerts.AlertAnswer, doubts: int) -> gatekeeper.NotApplied:
    """Return what lets the call wait: as after any failure, or longer if the alert may have arrived."""
    log.error("alert not sent", channel=str(to), alert=alert, outcome=answer.outcome, why=answer.why, hint=_hint())
    words = f"{to}: {answer.why}; tried again by itself; check it with: {_hint()}"
    if answer.outcome == "failed":
        return gatekeeper.NotApplied(words, temporary=True)
    gatekeeper.keep(IN_DOUBT, str(doubts + 1))
    pause = PAUSES[min(doubts, len(PAUSES) - 1)]
    return gatekeeper.NotApplied(f"{words}; it may have arrived", retry_after=pause)


def _hint() -> str:
    return hints.gatehouse("alert-test")
