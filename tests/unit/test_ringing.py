"""What is told of incidents, when, and what waits or is told together: a function of the book, the conditions and the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.monitor.conditions import Condition
from tasks.monitor.records import AlertText, Book, Incident
from tasks.monitor.ringing import MANY, Rules, step
from tasks.monitor.watch import is_quiet

START = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
LOOK = timedelta(seconds=10)
RULES = Rules(channels=("1-json",), urgent_channels=("urgent-1-json",))


def wrong(name: str = "disk state", **changes: Any) -> Condition:
    return replace(Condition(name, "check", f"{name} is full", "gatehouse status"), **changes)


class Night:
    """The looks of one night, one after the other, and everything that was told."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules, self.book, self.now = rules, Book(), START
        self.told: list[AlertText] = []
        self.over: list[Incident] = []

    def look(self, *found: Condition, after: timedelta = LOOK) -> list[str]:
        """Look once, `after` the look before; return the titles of what is told."""
        self.now += after
        done = step(self.book, found, self.now, self.rules)
        self.book = done.book
        self.told += done.messages
        self.over += done.over
        return [message.title for message in done.messages]

    def looks(self, found: Iterable[Condition], times: int) -> list[str]:
        """Look several times with the same result."""
        conditions = list(found)
        return [title for _ in range(times) for title in self.look(*conditions)]


def test_an_incident_is_told_once_when_it_begins_and_once_when_it_ends() -> None:
    night = Night()

    assert night.looks([wrong()], 5) == ["disk state is full"]
    assert night.looks([], 5) == ["Over: disk state is full"]

    assert [message.id.rpartition("-")[2] for message in night.told] == ["begin", "end"]
    assert [message.bad for message in night.told] == [True, False]
    assert night.book.standing == {}
    assert [each.name for each in night.over] == ["disk state"]
    assert [alert.what for alert in night.over[0].alerts] == ["begin", "end"]


def test_the_text_says_what_since_when_what_was_tried_and_what_to_do() -> None:
    night = Night()

    night.look(wrong(tried="Nothing.", since=START - timedelta(minutes=5)))

    lines = night.told[0].body.splitlines()
    assert lines == [
        "disk state is full",
        "Since: 2026-11-30 02:55:00 UTC, 5 min",
        "Tried: Nothing.",
        "To do: gatehouse status",
    ]


def test_what_has_to_last_to_be_believed_is_told_after_that_time() -> None:
    night = Night()
    slow = wrong(settle=timedelta(seconds=25))

    assert night.looks([slow], 3) == []
    assert night.look(slow) == ["disk state is full"]


def test_what_began_by_a_clock_that_is_ahead_is_told_as_soon_as_it_has_lasted_here() -> None:
    night = Night()
    ahead = START + timedelta(minutes=10)
    doubt = wrong("held publish:feed:b", since=ahead, settle=timedelta(seconds=15))

    assert night.look(wrong(since=ahead)) == ["disk state is full"]
    assert night.look(wrong(since=ahead), doubt) == []
    assert night.looks([wrong(since=ahead), doubt], 2) == ["held publish:feed:b is full"]
    assert all(incident.since <= night.now for incident in night.book.standing.values())
    night.looks([], 3)
    assert [incident.since < (incident.until or START) for incident in night.over] == [True, True]


def test_what_waits_anew_has_to_last_anew() -> None:
    night = Night()
    name, settle = "held publish:feed:a", timedelta(seconds=15)
    assert night.look(wrong(name, since=START + timedelta(seconds=9), settle=settle)) == []

    again = wrong(name, since=START + timedelta(seconds=19), settle=settle)

    assert night.look(again, after=timedelta(seconds=14)) == []
    assert night.look(again) == ["held publish:feed:a is full"]


def test_one_good_look_in_an_outage_is_not_its_end() -> None:
    night = Night()
    night.look(wrong())

    assert night.look() == []
    assert night.looks([wrong()], 3) == []


def test_the_end_of_a_keys_doubt_is_told_at_once() -> None:
    night = Night()
    night.look(wrong("held publish:feed:a", key="publish:feed:a", agent="publisher"))

    assert night.look() == ["Over: held publish:feed:a is full"]


def test_the_same_incident_within_an_hour_is_counted_and_not_told_again() -> None:
    night = Night()

    for _ in range(4):
        night.looks([wrong()], 2)
        night.looks([], 3)

    assert [message.what for message in night.told] == ["begin", "end"]
    assert night.book.recent["disk state"].again == 3

    night.look(after=timedelta(hours=1))
    night.look(wrong())
    assert [message.what for message in night.told] == ["begin", "end", "begin"]


def test_an_incident_that_came_back_and_stays_is_told_when_the_hour_is_over_with_its_count() -> None:
    night = Night()
    night.looks([wrong()], 2)
    night.looks([], 3)

    assert night.looks([wrong()], 3) == []
    assert night.look(wrong(), after=timedelta(minutes=61)) == ["disk state is full"]
    assert "It came back once within an hour." in night.told[-1].body


def test_thirty_incidents_at_once_are_one_alert_that_names_fifteen() -> None:
    night = Night()

    titles = night.look(*(wrong(f"url {n}") for n in range(30)))

    assert titles == ["30 incidents: 30 open, 0 over"]
    assert night.told[0].body.count("- open:") == 15
    assert "- and 15 more" in night.told[0].body
    assert len(night.book.outbox) == 1


def test_a_storm_that_comes_in_drops_is_ten_alerts_and_then_one_in_ten_minutes() -> None:
    night, found = Night(), []
    for n in range(30):
        found.append(wrong(f"url {n}"))
        night.look(*found)

    assert [message.what for message in night.told] == ["begin"] * MANY + ["summary"]

    night.look(*found, after=timedelta(minutes=10))
    assert night.told[-1].what == "summary"
    assert night.told[-1].title == "19 incidents: 19 open, 0 over"
    told = [each.told for each in night.book.standing.values()]
    assert all(told)


def test_what_can_wait_is_told_together_when_the_quiet_hours_end() -> None:
    night = Night(replace(RULES, quiet=True))
    later = [wrong("model groq", urgent=False), wrong("approval a", urgent=False)]

    assert night.looks(later, 5) == []
    assert night.look(*later, wrong()) == ["disk state is full"]

    night.rules = RULES
    assert night.looks(later[:1], 1) == ["While it was quiet, 2 incidents: 2 open, 0 over"]


def test_what_began_and_ended_in_quiet_hours_is_told_at_their_end() -> None:
    night = Night(replace(RULES, quiet=True))
    night.looks([wrong(urgent=False)], 3)
    night.looks([], 3)

    night.rules = RULES

    assert night.look() == ["disk state is full"]
    assert " until " in night.told[0].body
    assert night.told[0].bad is False
    assert night.look() == []


def test_what_becomes_urgent_in_quiet_hours_is_told_then() -> None:
    night = Night(replace(RULES, quiet=True))
    night.look(wrong(urgent=False))

    assert night.look(wrong(urgent=True)) == ["disk state is full"]


def test_what_was_told_and_becomes_urgent_is_told_again() -> None:
    night = Night()

    assert night.looks([wrong(urgent=False)], 2) == ["disk state is full"]
    assert night.looks([wrong(urgent=True)], 2) == ["disk state is full"]
    assert len({message.id for message in night.told}) == 2


def test_a_doubt_that_becomes_held_is_told_again_although_it_is_the_same_key() -> None:
    night = Night()
    key = wrong("held publish:feed:a", key="publish:feed:a", agent="publisher")
    night.look(replace(key, kind="unknown"))

    assert night.look(replace(key, kind="held", what="publish:feed:a is held")) == ["publish:feed:a is held"]
    assert len({message.id for message in night.told}) == 2


def test_an_urgent_incident_that_nobody_looked_after_is_escalated_once() -> None:
    night = Night()
    night.look(wrong(), wrong("model groq", urgent=False))

    found = [wrong(), wrong("model groq", urgent=False)]
    assert night.look(*found, after=timedelta(minutes=29)) == []
    assert night.look(*found, after=timedelta(minutes=2)) == ["Nobody looked: disk state is full"]
    assert night.told[-1].channels == ("urgent-1-json",)
    assert night.look(*found, after=timedelta(hours=2)) == []

    night.looks([], 3)
    ends = [message for message in night.told if message.what == "end"]
    assert ("1-json", "urgent-1-json") in [message.channels for message in ends]


def test_an_incident_that_somebody_looked_after_is_not_escalated() -> None:
    night = Night()
    night.look(wrong())

    night.rules = replace(RULES, looked=night.now + timedelta(minutes=1))

    assert night.look(wrong(), after=timedelta(minutes=31)) == []


def test_a_look_before_the_alert_does_not_count() -> None:
    night = Night(replace(RULES, looked=START))
    night.look(wrong())

    assert night.look(wrong(), after=timedelta(minutes=31)) == ["Nobody looked: disk state is full"]


def test_without_channels_incidents_are_kept_and_nothing_waits_to_be_told() -> None:
    night = Night(Rules())

    assert night.looks([wrong()], 3) == []
    assert [each.told for each in night.book.standing.values()] == [None]
    assert night.looks([], 3) == []
    assert night.book.standing == {}
    assert [each.name for each in night.over] == ["disk state"]


def test_an_approval_is_asked_for_and_its_end_is_not_told() -> None:
    night = Night()
    ask = wrong("approval a", kind="approval", key="a", agent="publisher", urgent=False)

    assert night.looks([ask], 2) == ["approval a is full"]
    assert night.looks([], 3) == []
    assert [each.name for each in night.over] == ["approval a"]


def test_the_quiet_hours_may_go_past_midnight() -> None:
    assert is_quiet((22 * 60, 7 * 60), START.replace(hour=3))
    assert is_quiet((22 * 60, 7 * 60), START.replace(hour=22))
    assert not is_quiet((22 * 60, 7 * 60), START.replace(hour=7))
    assert not is_quiet((9 * 60, 17 * 60), START.replace(hour=3))
    assert not is_quiet(None, START)
