"""Decide what to tell: which incidents begin and end, which of it is told now, and what has to wait or is told together.

Everything here is a function of the book, of what is wrong now, and of the time; nothing is read and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.monitor import wording
from tasks.monitor.conditions import Condition
from tasks.monitor.observing import observe
from tasks.monitor.records import Alert, AlertText, Book, Incident, PendingAlert, Recent, What

#: More than MANY alerts within WINDOW become one, and the next one of that kind comes a WINDOW later.
MANY = 10
WINDOW = timedelta(minutes=10)
#: Escalations of one look that are sent one by one.
MAX_ESCALATIONS = 3


@dataclass(frozen=True)
class Rules:
    """The settings, as they apply now."""

    channels: tuple[str, ...] = ()
    urgent_channels: tuple[str, ...] = ()
    quiet: bool = False
    escalate_after: timedelta = timedelta(minutes=30)
    looked: datetime | None = None  #: when a person looked last


@dataclass(frozen=True)
class Step:
    """The result of one look: the new book, the incidents that are over, and the new alerts."""

    book: Book
    over: tuple[Incident, ...] = ()
    messages: tuple[AlertText, ...] = ()


@dataclass(frozen=True)
class _Told:
    """One thing to tell of one incident."""

    incident: Incident
    what: What


def step(book: Book, found: Iterable[Condition], now: datetime, rules: Rules) -> Step:
    """Return what follows from one look.

    Args:
        book: What was known before.
        found: What is wrong now.
        now: The current time.
        rules: The settings.

    """
    seen = observe(book, list(found), now, keep_ends=bool(rules.channels))
    news = [each for each in _news(seen.book.standing, now) if each.incident.urgent or not rules.quiet]
    if not rules.channels:
        return Step(seen.book, seen.over)
    at_dawn = book.was_quiet and not rules.quiet and sum(not each.incident.urgent for each in news) > 1
    told = _messages(seen.book, news, now, rules, together=at_dawn)
    escalated = _escalations(told.book, now, rules)
    after = escalated.book.model_copy(update={"was_quiet": rules.quiet, "looked": now})
    return Step(after, (*seen.over, *told.over), (*told.messages, *escalated.messages))


def _news(standing: Mapping[str, Incident], now: datetime) -> list[_Told]:
    """Return what there is to tell: begins that were not told, and ends of what was."""
    news = []
    for each in standing.values():
        if each.told is None and (each.due is None or each.due <= now):
            news.append(_Told(each, "begin"))
        elif each.told is not None and each.until is not None:
            news.append(_Told(each, "end"))
    return sorted(news, key=lambda told: told.incident.until or told.incident.since)


def _messages(book: Book, news: list[_Told], now: datetime, rules: Rules, *, together: bool) -> Step:
    """Tell the news one by one, or together if there are too many; then it may have to wait for the next summary."""
    if not news:
        return Step(book)
    sent = tuple(time for time in book.sent if now - time < WINDOW)
    is_storm = len(sent) + len(news) > MANY
    if is_storm and book.summary is not None and now - book.summary < WINDOW:
        return Step(book.model_copy(update={"sent": sent}))
    if not is_storm and not together:
        messages = [wording.message(each.incident, each.what, now, _channels(each, rules)) for each in news]
        return _handed_over(book, list(zip(news, messages, strict=True)), messages, sent, now)
    channels = tuple(dict.fromkeys(name for each in news for name in _channels(each, rules)))
    one = wording.summary([each.incident for each in news], now, channels, quiet_is_over=together)
    marked = book.model_copy(update={"summary": now if is_storm else book.summary})
    return _handed_over(marked, [(each, one) for each in news], [one], sent, now)


def _handed_over(
    book: Book,
    told: list[tuple[_Told, AlertText]],
    messages: list[AlertText],
    sent: tuple[datetime, ...],
    now: datetime,
) -> Step:
    """Return the book after these alerts: they are in its outbox, and incidents whose end was told are over."""
    standing, recent, over = {**book.standing}, {**book.recent}, []
    for news, message in told:
        alert = Alert(id=message.id, what=message.what, at=now, channels=message.channels)
        changed = news.incident.model_copy(
            update={"alerts": (*news.incident.alerts, alert), "told": news.incident.told or now, "again": 0}
        )
        if news.what == "begin":
            recent[changed.name] = Recent(told=now)
        if changed.until is None:
            standing[changed.name] = changed
        else:
            del standing[changed.name]
            over.append(changed)
    update = {
        "standing": standing,
        "recent": recent,
        "sent": (*sent, *(now for _ in messages)),
        "outbox": (*book.outbox, *(PendingAlert(id=each.id, channels=each.channels) for each in messages)),
    }
    return Step(book.model_copy(update=update), tuple(over), tuple(messages))


def _channels(told: _Told, rules: Rules) -> tuple[str, ...]:
    """Return where to tell it: the end of what was escalated is told there too."""
    return (*rules.channels, *(rules.urgent_channels if told.incident.escalated else ()))


def _escalations(book: Book, now: datetime, rules: Rules) -> Step:
    """Tell the urgent channels of urgent incidents that nobody looked after since they were told."""
    late = [each for each in book.standing.values() if _needs_escalation(each, now, rules)]
    if not late or not rules.urgent_channels:
        return Step(book)
    if len(late) > MAX_ESCALATIONS:
        one = wording.summary(late, now, rules.urgent_channels, nobody_looked=True)
        pairs, messages = [(each, one) for each in late], [one]
    else:
        messages = [wording.message(each, "escalate", now, rules.urgent_channels) for each in late]
        pairs = list(zip(late, messages, strict=True))
    standing = {**book.standing}
    for each, message in pairs:
        alert = Alert(id=message.id, what="escalate", at=now, channels=message.channels)
        standing[each.name] = each.model_copy(update={"escalated": now, "alerts": (*each.alerts, alert)})
    outbox = (*book.outbox, *(PendingAlert(id=each.id, channels=each.channels) for each in messages))
    return Step(book.model_copy(update={"standing": standing, "outbox": outbox}), messages=tuple(messages))


def _needs_escalation(incident: Incident, now: datetime, rules: Rules) -> bool:
    if incident.told is None or incident.until or incident.escalated or not incident.urgent:
        return False
    has_looked = rules.looked is not None and rules.looked >= incident.told
    return not has_looked and now - incident.told >= rules.escalate_after
