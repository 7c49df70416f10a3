"""`/schedule`: when each entry ran and runs next, what became of its ticks, and the forms to run it or to backfill."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute

from gatekeeper.schedule.entries import Entry
from tasks.monitor import overdue, schedule_checks
from web.desk import acting, door
from web.desk.visit import Visit
from workers import decisions
from workers.decisions import NotDecided
from workers.readings import entries

#: How a browser writes a local time in a form.
_FORM_TIME = "%Y-%m-%dT%H:%M"
#: Rows of a preview that are shown; the number of all is told.
MAX_ROWS = 100


def routes() -> list[BaseRoute]:
    """Return the routes of the schedule, of its forms and of the preview of a backfill."""
    return [
        door.page("/schedule", show),
        door.action("/schedule/{entry}/run", run),
        door.page("/schedule/{entry}/backfill", preview),
        door.action("/schedule/{entry}/backfill", backfill),
    ]


def show(visit: Visit) -> Response:
    """Show every entry."""
    schedule, now = schedule_checks.schedule(), datetime.now(UTC)
    _, late = overdue.current()
    agent = visit.query("agent")
    chosen = [each for each in schedule.entries.values() if agent in ("", each.agent)]
    return visit.render(
        "schedule.html",
        current="schedule",
        entries=[entries.read(each, now) for each in chosen],
        overdue={each.entry: each for each in late},
        refused={name: str(error) for name, error in schedule.refused.items()},
        agent=agent,
        agents=sorted({each.agent for each in schedule.entries.values()}),
        since=lambda entry: _form_time(now - timedelta(days=1), entry),
        until=lambda entry: _form_time(now, entry),
    )


def run(visit: Visit) -> Response:
    """Run an entry now."""
    name = visit.path("entry")
    told = acting.act(visit, lambda by: decisions.run(name, by))
    return visit.go(acting.call_path(told["call"]), f"{name} was started; this is its call.")


def preview(visit: Visit) -> Response:
    """Show what a backfill would start, without starting anything."""
    entry = _entry(visit)
    begin, end = _time(visit.query("from"), entry), _time(visit.query("to"), entry)
    try:
        rows = decisions.backfill(entry.name, begin, end, None)
    except NotDecided as error:
        raise HTTPException(422, str(error)) from None
    return visit.render(
        "backfill.html",
        current="schedule",
        entry=entry,
        rows=rows[:MAX_ROWS],
        total=len(rows),
        new=sum(row["before"] is None for row in rows),
        begin=begin,
        end=end,
        since=visit.query("from"),
        until=min(end, datetime.now(UTC)).isoformat(),  # what becomes due meanwhile was not shown
    )


def backfill(visit: Visit) -> Response:
    """Start the ticks that did not run, of those that the preview showed."""
    entry = _entry(visit)
    begin, end = _time(visit.form.get("from"), entry), _time(visit.form.get("to"), entry)
    rows = acting.act(visit, lambda by: decisions.backfill(entry.name, begin, end, by))
    started = sum(row["started"] for row in rows)
    return visit.go(f"/schedule#{acting.quoted(entry.name)}", f"{entry.name}: started {started} of {len(rows)} ticks.")


def _entry(visit: Visit) -> Entry:
    name, schedule = visit.path("entry"), schedule_checks.schedule()
    if name not in schedule.entries:
        raise HTTPException(404, f"there is no schedule entry {name}; there are: {', '.join(schedule.entries)}")
    return schedule.entries[name]


def _form_time(moment: datetime, entry: Entry) -> str:
    return moment.astimezone(entry.zone).strftime(_FORM_TIME)


def _time(text: str, entry: Entry) -> datetime:
    """Return a time of a form, which is in the entry's zone unless it names another."""
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=entry.zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise HTTPException(422, f"{text!r} is not a time; write for example 2026-11-22T06:00") from None
    return moment.replace(microsecond=0)
