"""A stream of effects while one server after the other is killed; how long until work went on, and what the judge counted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from tests.harness import GaveUp, until
from tests.matrix.result import Result
from tests.matrix.site import Site
from tests.torture.verdict import judge
from tests.torture.watch import AT_REST, standings

#: Effects of each kind that are asked for before each kill, and again after it.
OF_EACH_KIND = 6
#: One that nobody can look up, one that can be, and one in two steps.
KINDS = ("strike", "sure", "steps")
#: Those of the short form.
QUICK_KINDS = ("strike", "sure")
#: The judge takes so many seconds for each: a kill finds some that have begun and are not answered.
SLOW = "delay:0.3"
#: Seconds of an idle machine within which work has to go on, and everything has to come to rest.
GOES_ON_WITHIN, REST_WITHIN = 40.0, 60.0


def play(site: Site, faults: Sequence[str], kinds: Sequence[str], result: Result) -> None:
    """Kill what is named, one after the other, and judge at the end."""
    site.judge.mode(SLOW)
    for fault in faults:
        result.seconds[fault] = _suffer(site, fault, kinds, result)
    with suppress(GaveUp):
        until(lambda: _is_at_rest(site, result), REST_WITHIN, "every key to come to rest")
    _judge(site, result)


def _suffer(site: Site, fault: str, kinds: Sequence[str], result: Result) -> float:
    """Kill it with effects in flight; return the seconds until an effect happened that was asked for after the kill."""
    site.prepare(fault)
    _ask_until_in_flight(site, kinds)
    began = time.time()
    site.die(fault)
    fresh = set(_ask(site, kinds))

    def first() -> float | None:
        _recover(site, result)
        happened = [row["applied_at"] for row in site.judge.rows() if row["key"] in fresh]
        return min(happened, default=None)

    went_on = until(first, GOES_ON_WITHIN, f"work to go on after the {fault} was killed")
    if not site.worker.alive:
        result.problems.append(f"the worker ended after the {fault} was killed")
        site.hire()
    return went_on - began


def _ask_until_in_flight(site: Site, kinds: Sequence[str]) -> None:
    """Ask for effects until one of them has begun and is not answered."""
    asked = _ask(site, kinds)

    def has_begun() -> bool:
        nonlocal asked
        found = {row["key"] for row in site.judge.open()}.intersection(asked)
        if not found and {*standings(site.watch.client, asked).values()} <= AT_REST:  # all are over already
            asked = _ask(site, kinds)
        return bool(found)

    until(has_begun, 30, "an effect in flight")


def _ask(site: Site, kinds: Sequence[str]) -> list[str]:
    """Ask for some effects of each kind; return their keys when all calls are accepted."""
    return [key for kind in kinds for key in site.producer.ask(kind, OF_EACH_KIND)]


def _recover(site: Site, result: Result) -> None:
    """Do what `gatehouse doctor` says, where a new primary lacks what the old one had answered."""
    if site.closed():
        site.producer.gate("recover")
        result.recoveries += 1


def _is_at_rest(site: Site, result: Result) -> bool:
    _recover(site, result)
    return site.watch.all_rest()


def _judge(site: Site, result: Result) -> None:
    """Hold the judge's table against where each key stands, and against what a person is told."""
    asked = site.producer.asked
    found = standings(site.watch.client, list(asked))
    counts = {key: count for key, count in site.judge.counts().items() if key in asked}
    bodies = {key: about["doubtful"] for key, about in site.judge.asked().items() if key in asked}
    result.verdict = judge(asked, found, counts, bodies)
    in_doubt = {key for key, state in found.items() if state in {"unknown", "held"}}
    told = {str(row["key"]) for row in site.producer.gate("held")}
    if silent := in_doubt - told:
        result.problems.append(f"in doubt, and not in gatehouse held: {', '.join(sorted(silent))}")
