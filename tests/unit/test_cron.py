"""A cron line in a time zone: forward, back and as a range, the same moments come out, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatekeeper.schedule.cron import Cron, CronError

#: Changes of half an hour, of two hours, at midnight, of a whole day, within a year, and none.
ZONES = (
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "America/Havana",
    "America/New_York",
    "America/St_Johns",
    "Antarctica/Casey",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Europe/Berlin",
    "Pacific/Apia",
    "UTC",
)
BEGIN, END = datetime(2005, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

_minutes = st.sampled_from(["*", "*/7", "*/30", "0", "15", "30", "59", "0,45", "10-20"])
_hours = st.sampled_from(["*", "*/2", "*/5", "0", "1", "2", "3", "23", "0,12", "1-3"])
_days = st.sampled_from(["*", "*", "*/2", "1", "15", "30", "L", "1,31"])
_months = st.sampled_from(["*", "*", "*", "1-6", "10", "12"])
_weekdays = st.sampled_from(["*", "*", "0", "1-5", "SUN", "1#2", "5L"])
lines = st.tuples(_minutes, _hours, _days, _months, _weekdays).map(" ".join)


@cache
def changes(name: str) -> list[datetime]:
    """About when the clocks of a zone are changed."""
    zone, found, moment = ZoneInfo(name), [], BEGIN
    while moment < END:
        later = moment + timedelta(hours=6)
        if moment.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            found.append(later)
        moment = later
    return found


@st.composite
def windows(draw: st.DrawFn) -> tuple[ZoneInfo, datetime, datetime]:
    """Some days of a zone, more often than not with a change of its clocks in them."""
    name = draw(st.sampled_from(ZONES))
    anywhere = st.integers(0, int((END - BEGIN) / MINUTE)).map(lambda minutes: BEGIN + minutes * MINUTE)
    middle = draw(st.sampled_from(changes(name)) | anywhere if changes(name) else anywhere)
    begin = middle - draw(st.integers(0, 50 * 60)) * MINUTE
    return ZoneInfo(name), begin, begin + draw(st.integers(60, 60 * 60)) * MINUTE


@settings(max_examples=300, deadline=None)
@given(line=lines, window=windows())
@example(
    "15 1,2 * * *",
    (ZoneInfo("Australia/Lord_Howe"), datetime(2026, 10, 3, tzinfo=UTC), datetime(2026, 10, 5, tzinfo=UTC)),
)
@example(
    "*/10 * * * *",
    (ZoneInfo("Australia/Lord_Howe"), datetime(2026, 4, 4, tzinfo=UTC), datetime(2026, 4, 6, tzinfo=UTC)),
)
@example("0 9 * * *", (ZoneInfo("Pacific/Apia"), datetime(2011, 12, 28, tzinfo=UTC), datetime(2012, 1, 1, tzinfo=UTC)))
@example("0 0 * * *", (ZoneInfo("Africa/Cairo"), datetime(2024, 4, 24, tzinfo=UTC), datetime(2024, 4, 28, tzinfo=UTC)))
def test_forward_back_and_as_a_range_the_same_moments_come_out(
    line: str, window: tuple[ZoneInfo, datetime, datetime]
) -> None:
    zone, begin, end = window
    cron = Cron(line, zone)

    assert stepping_forward(cron, begin, end) == list(cron.between(begin, end)) == stepping_back(cron, begin, end)


@settings(max_examples=200, deadline=None)
@given(line=lines, window=windows(), offset=st.timedeltas(timedelta(seconds=-70), timedelta(seconds=70)))
def test_next_and_latest_of_any_moment_lie_on_either_side_of_it(
    line: str, window: tuple[ZoneInfo, datetime, datetime], offset: timedelta
) -> None:
    zone, moment = window[0], window[1] + offset
    cron = Cron(line, zone)

    before, after = cron.latest_before(moment), cron.next_after(moment)

    assert before <= moment < after
    assert cron.next_after(before) == after
    assert cron.latest_before(after - timedelta(microseconds=1)) == before


@settings(max_examples=100, deadline=None)
@given(line=lines, window=windows())
def test_a_line_comes_at_the_local_times_it_names_and_at_no_other(
    line: str, window: tuple[ZoneInfo, datetime, datetime]
) -> None:
    zone, begin, end = window
    end = min(end, begin + timedelta(days=2))
    looked_at = [begin + number * MINUTE for number in range(int((end - begin) / MINUTE) + 1)]
    every = [moment for moment in looked_at if matches(line, moment.astimezone(zone))]

    came = list(Cron(line, zone).between(begin, end))

    minute, hour, *_ = line.split()
    if minute.startswith("*") or hour.startswith("*"):
        assert came == every
    else:  # a time that comes twice runs once, a skipped one as soon as the clocks are put forward
        assert len({moment.astimezone(zone).replace(tzinfo=None) for moment in came}) == len(came)
        late = set(came) - set(every)
        assert all(is_change(moment, zone) for moment in late)


@settings(max_examples=50, deadline=None)
@given(line=lines, minutes=st.integers(0, int((END - BEGIN) / MINUTE)))
def test_without_changes_of_the_clock_it_is_what_cronsim_says(line: str, minutes: int) -> None:
    moment = BEGIN + minutes * MINUTE

    assert Cron(line, ZoneInfo("UTC")).next_after(moment) == next(CronSim(line, moment))


def test_a_daily_line_comes_every_day_also_on_one_that_begins_at_one_o_clock() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # on 26 April 2024 the clocks went from 0:00 to 1:00
    came = Cron("0 0 * * *", cairo).between(datetime(2024, 4, 24, 12, tzinfo=UTC), datetime(2024, 4, 27, tzinfo=UTC))

    assert [f"{moment.astimezone(cairo):%d %H:%M}" for moment in came] == ["25 00:00", "26 01:00", "27 00:00"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0 */20 * 1L", "no such time comes within 50 years"),
        ("0 0 31 2 *", "Bad day-of-month"),
        ("0 * * * * *", "6 fields instead of 5"),
        ("* * * *", "4 fields instead of 5"),
        ("", "0 fields instead of 5"),
        ("0 0 " + "9" * 5000 + " * *", "minute hour day month weekday"),
    ],
)
def test_a_line_that_cannot_be_read_or_never_comes_is_refused_with_the_right_form(line: str, says: str) -> None:
    with pytest.raises(CronError, match="write minute hour day month weekday") as refusal:
        Cron(line, ZoneInfo("Europe/Berlin")).check(datetime(2026, 11, 29, tzinfo=UTC))

    assert says in str(refusal.value)


@pytest.mark.parametrize("moment", [datetime(9999, 12, 31, 23, 59, tzinfo=UTC), datetime(1, 1, 1, 0, 1, tzinfo=UTC)])
def test_at_the_ends_of_the_calendar_nothing_overflows(moment: datetime) -> None:
    cron = Cron("0 0 29 2 *", ZoneInfo("UTC"))

    with pytest.raises(CronError):
        cron.next_after(moment) if moment.year > 2000 else cron.latest_before(moment)


def stepping_forward(cron: Cron, begin: datetime, end: datetime) -> list[datetime]:
    found, moment = [], begin - timedelta(microseconds=1)
    while (moment := cron.next_after(moment)) <= end:
        found.append(moment)
    return found


def stepping_back(cron: Cron, begin: datetime, end: datetime) -> list[datetime]:
    found, moment = [], end
    while (moment := cron.latest_before(moment)) >= begin:
        found.append(moment)
        moment -= timedelta(microseconds=1)
    return found[::-1]


def matches(line: str, local: datetime) -> bool:
    """Whether a wall clock that shows this time is at the line's minute."""
    shown = local.replace(tzinfo=None, fold=0)
    return next(CronSim(line, shown - timedelta(seconds=1))) == shown


def is_change(moment: datetime, zone: ZoneInfo) -> bool:
    before = moment - timedelta(seconds=1)
    return moment.astimezone(zone).utcoffset() != before.astimezone(zone).utcoffset()
