"""The page of the torture: figures as they are, and what was not injected is said, not counted."""

from __future__ import annotations

from collections import Counter

from tests.torture import report
from tests.torture.page import Circumstances, page
from tests.torture.result import Result
from tests.torture.scenario import SCENARIOS, chosen
from tests.torture.teeth import TEETH, Bite
from tests.torture.verdict import Verdict

HOW = Circumstances(["--long"], seed=7, seconds=125, long=True)


def played(name: str, **fields: object) -> Result:
    chosen([name])
    result = Result(SCENARIOS[name], 7, faults=3, hits=1000, recoveries=[1.0, 2.0, 3.0])
    result.verdict = Verdict(asked=10, effects=9, ended=Counter(done=9, unknown=1))
    for field, value in fields.items():
        setattr(result, field, value)
    return result


def doubled(name: str) -> Result:
    return played(name, verdict=Verdict(asked=1, effects=2, ended=Counter(done=1), duplicates=["strike:one"]))


def test_the_page_tells_the_figures_and_their_bound() -> None:
    text = page([played("killed_in_flight"), played("broken_answers")], [], HOW)

    assert "**6 faults, 2,000 hits in the sending window, 0 duplicates, 0 lost, 0 falsely done.**" in text
    assert "below 0.15 % with 95 % confidence" in text
    assert "| F7 | the effect happened" in text


def test_what_was_not_injected_is_told_and_is_no_row() -> None:
    text = page([played("killed_in_flight"), played("slow_disk", verdict=None, absent="no C compiler")], [], HOW)

    assert "- F33, each fsync takes a second longer: no C compiler." in text
    assert "| F33 |" not in text


def test_a_double_effect_takes_the_bound_away_and_is_red() -> None:
    result = doubled("killed_in_flight")

    assert result.is_red
    assert "duplicates: 1 (strike:one)" in report.line(result)
    assert "confidence" not in page([result], [], HOW)


def test_a_tooth_that_does_not_bite_is_told() -> None:
    bites = [Bite(TEETH[0], [doubled("killed_in_flight")]), Bite(TEETH[1], [played("store_emptied")])]

    text = page([played("killed_in_flight")], bites, HOW)

    assert "| F1, SIGKILL of a worker with requests in flight | 1 duplicates |" in text
    assert "**nowhere**" in text
    assert report.teeth(bites) == f"1 of 2 teeth bite; the suite stays green with {TEETH[1].name}"
