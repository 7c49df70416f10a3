"""Judge what the command of a page says about its situation, and time it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace

from tests.harness.polling import until
from tests.night.cures import ALERT_SECONDS, CURES
from tests.night.house import GATE, House
from tests.night.situations import Situation

#: What a person tries after the command of the page.
MORE = ("status", "doctor", "list", "held", "dead")


@dataclass(frozen=True)
class Judged:
    """How many commands it took until cause and next step were on the screen, and how many seconds."""

    situation: Situation
    commands: int  #: 0: none of them showed both
    seconds: float
    output: str  #: of the first command
    alert: float | None = None  #: seconds until the alert came; None: none comes
    cure: float = 0.0  #: seconds until the cure had helped


def judge(house: House, situation: Situation) -> Judged:
    """Run the page's command, and further ones until cause and next step are shown."""
    seen, first, began = "", "", time.monotonic()
    for number, command in enumerate((situation.command, *(f"{GATE} {word}" for word in MORE)), 1):
        seen += house.run(command).stdout
        first = first or seen
        if names_cause(situation, seen) and names_next_step(situation, seen):
            return Judged(situation, number, time.monotonic() - began, first)
    return Judged(situation, 0, time.monotonic() - began, first)


def from_alert_to_cure(house: House, situation: Situation) -> Judged:
    """Wait for the alert, run the page's command, and do what helps."""
    cure, began = CURES[situation.name], time.monotonic()
    if cure.alert:
        until(
            lambda: any(re.search(cure.alert, each["title"]) for each in house.phone.messages),
            ALERT_SECONDS,
            f"the alert of {situation.name}, beside {[each['title'] for each in house.phone.messages]}",
        )
    rang, judged = time.monotonic(), judge(house, situation)
    acting = time.monotonic()
    cure.act(house)
    return replace(judged, alert=rang - began if cure.alert else None, cure=time.monotonic() - acting)


def names_cause(situation: Situation, text: str) -> bool:
    return re.search(situation.cause, text) is not None


def names_next_step(situation: Situation, text: str) -> bool:
    return re.search(situation.next, text) is not None
