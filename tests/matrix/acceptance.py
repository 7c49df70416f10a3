"""What every combination has to do, before anything is killed."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.harness import until
from tests.matrix.site import Site

#: Seconds by which one call is delayed.
DELAY = 1.0
#: Further calls than `counter.limited` lets through in an hour.
LIMIT = 3

SEND = "answer = app.send_task(task, kwargs=kwargs, countdown=countdown).id"


def problems(site: Site) -> list[str]:
    """Play each check, and return what does not hold."""
    return [problem for check in CHECKS if (problem := _played(check, site))]


def _played(check: Callable[[Site], None], site: Site) -> str:
    try:
        check(site)
    except AssertionError as error:
        return f"{check.__name__.replace('_', ' ')}: {str(error).splitlines()[0] if str(error) else 'it does not hold'}"
    return ""


def a_call_runs_once(site: Site) -> None:
    """A task that is safe to repeat runs, and its answer is there."""
    answer = site.house.answer(_send(site, "counter.fail", {"times": 0, "name": "ran"}), 30)
    assert answer["ok"], answer
    assert len(site.house.notes("ran")) == 1, f"it ran {len(site.house.notes('ran'))} times"


def an_effect_happens_once_and_is_replayed(site: Site) -> None:
    """A second call of the same key is answered from the ledger."""
    first, second = (site.house.answer(_send(site, "storyteller.publish", {"post_id": "hello"}), 30) for _ in range(2))
    assert (first["ok"], first["replayed"]) == (True, False), first
    assert (second["ok"], second["replayed"]) == (True, True), second
    assert site.judge.count("story:hello") == 1, f"{site.judge.count('story:hello')} effects"


def a_delayed_call_waits(site: Site) -> None:
    """A countdown is kept, and not for ever."""
    asked = time.time()
    _send(site, "storyteller.publish", {"post_id": "later"}, DELAY)
    [row] = until(lambda: [row for row in site.judge.rows() if row["key"] == "story:later"], 30, "the delayed effect")
    waited = row["arrived_at"] - asked
    assert waited >= DELAY, f"it waited {waited:.2f} s"


def a_rate_is_kept(site: Site) -> None:
    """Of one call more than the rate allows, one is refused."""
    calls = [_send(site, "counter.limited", {"n": number}) for number in range(LIMIT + 1)]
    answers = [site.house.answer(call, 30) for call in calls]
    refused = [answer for answer in answers if not answer["ok"]]
    assert [answer["stage"] for answer in refused] == ["rate"], answers
    assert len(site.house.notes("limited")) == LIMIT, site.house.notes("limited")


def explain_tells_the_story(site: Site) -> None:
    """`gatehouse explain` knows the key, its state and its story."""
    told = site.producer.gate("explain", "story:hello")
    assert told["state"] == "done", told["state"]
    assert told["story"], "there is no story"


def doctor_has_no_complaint(site: Site) -> None:
    """`gatehouse doctor` asks for nothing but a second host."""
    found = [each for each in site.findings() if not each["ok"] and each["check"] not in site.advice()]
    assert not found, "; ".join(f"{each['check']}: {each['found']}" for each in found)


def _send(site: Site, task: str, kwargs: dict[str, object], countdown: float = 0) -> str:
    call: str = site.producer.run(SEND, task=task, kwargs=kwargs, countdown=countdown or None)
    return call


CHECKS = (
    a_call_runs_once,
    an_effect_happens_once_and_is_replayed,
    a_delayed_call_waits,
    a_rate_is_kept,
    explain_tells_the_story,
    doctor_has_no_complaint,
)
