"""A worker holds more messages than it runs only while its tasks are short."""

from __future__ import annotations

import pytest

from workers.pace import RECENT, SHORT, Pace


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    """The pace of a worker that has just run a short task."""
    made = Pace(clock)
    made.taken("first")
    clock.now += SHORT / 2
    made.ended("first")
    return made


def test_nothing_is_known_before_the_first_task_ended(clock: Clock) -> None:
    pace = Pace(clock)
    pace.taken("first")

    assert not pace.is_short()


def test_a_short_task_lets_more_be_taken_for_a_moment(pace: Pace, clock: Clock) -> None:
    assert pace.is_short()

    clock.now += RECENT

    assert not pace.is_short()


def test_a_task_that_takes_longer_ends_that_while_it_runs(pace: Pace, clock: Clock) -> None:
    pace.taken("long")
    clock.now += SHORT / 2
    pace.taken("short")
    assert pace.is_short()

    clock.now += SHORT * 0.75

    assert not pace.is_short()


def test_a_task_that_took_longer_ends_that_until_the_next_short_one(pace: Pace, clock: Clock) -> None:
    pace.taken("long")
    clock.now += SHORT * 1.1
    pace.ended("long")
    assert not pace.is_short()

    pace.taken("short")
    pace.ended("short")

    assert pace.is_short()


def test_a_message_of_which_nothing_is_known_says_nothing_good(pace: Pace) -> None:
    pace.ended("of a channel before")

    assert not pace.is_short()
