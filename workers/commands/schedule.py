"""`gate schedule`, `gate run` and `gate backfill`: what runs when, one entry now, or at the times that it missed."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from gatekeeper.schedule.entries import Entry, read, tick
from state.ledger import schedule_runs
from workers.commands.output import Failed, command, explain, show, table
from workers.scheduler import before, start

#: More at once would flood the queue, and is rather a slip in a date: three weeks of a half-hourly entry.
MAX_SLOTS = 1000
#: Outside of them are slips of the hand, and the ends of the calendar.
YEARS = range(2000, 3000)


@command("schedule")
def show_schedule(*, json_: bool) -> None:
    """Show each entry of the schedule: when it ran last, when it is due next, and what is wrong with it."""
    found = read()
    now = datetime.now(UTC)
    rows = [_standing(entry, now) for entry in found.entries.values()]
    rows += [{"entry": name, "problem": str(error)} for name, error in found.refused.items()]
    lines = [
        (
            "WRONG" if row["problem"] else "ok",
            row["entry"],
            row.get("cron"),
            row.get("last"),
            row.get("next"),
            row["problem"],
        )
        for row in rows
    ]
    show(json_, rows, table([("", "entry", "cron", "last tick", "next", ""), *lines]))
    if any(row["problem"] for row in rows):
        raise click.exceptions.Exit(1)


def _standing(entry: Entry, now: datetime) -> dict[str, Any]:
    agent = entry.gate.agent
    last, failure = schedule_runs.last(agent, entry.name), schedule_runs.failure(agent, entry.name)
    return {
        "entry": entry.name,
        "cron": entry.cron,
        "zone": str(entry.zone),
        "task": entry.gate.name,
        "missed": entry.missed,
        "overlap": entry.overlap,
        "last": last and last.isoformat(),
        "next": entry.next_after(now).isoformat(),
        "problem": failure and f"the tick of {failure['at']} could not be started: {failure['why']}",
    }


@command("run")
@click.argument("entry")
@click.option("--due", help="Run the tick of this time, such as 2026-11-22T06:00Z, if it did not run yet.")
@click.pass_context
def run(context: click.Context, entry: str, due: str | None, *, json_: bool) -> None:
    """Run one schedule ENTRY now. Its identity is the entry and this second, or the time given by --due."""
    found = _known(entry)
    moment = _moment(due) if due else datetime.now(UTC).replace(microsecond=0)
    stood = before(found, moment)
    call = tick(found, moment) if stood == "over" else start(context.obj.app, found, moment, "gate run")
    answer = {"entry": entry, "task": found.gate.name, "call": call, "due": moment.isoformat(), "before": stood}
    done = f"this tick ran before and is {stood}; nothing new was started" if stood else f"call {call}"
    show(json_, answer, f"{entry}: {done}\nsee: {explain(call)}")


@command("backfill")
@click.argument("entry")
@click.option("--from", "begin", required=True, help="The first time, such as 2026-11-22T06:00Z; UTC without a zone.")
@click.option("--to", "end", required=True, help="The last time; later than now counts as now.")
@click.option("--dry-run", is_flag=True, help="Only say what would be started.")
@click.pass_context
def backfill(context: click.Context, entry: str, begin: str, end: str, *, dry_run: bool, json_: bool) -> None:
    """Run one schedule ENTRY for each time from --from to --to at which it was due and did not run."""
    found = _known(entry)
    slots = _slots(found, _moment(begin), _moment(end))
    rows = [_row(context.obj.app, found, due, dry_run=dry_run) for due in slots]
    show(json_, rows, _in_words(entry, rows, dry_run=dry_run))


def _known(entry: str) -> Entry:
    found = read()
    if entry in found.refused:
        raise found.refused[entry]
    if entry not in found.entries:
        raise Failed(f"there is no schedule entry {entry!r}; there are: {', '.join(found.entries)}")
    return found.entries[entry]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(microsecond=0, tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Failed(f"{text!r} is not a time; write for example 2026-11-22T06:00Z") from None
    if not YEARS.start <= moment.year < YEARS.stop:
        raise Failed(f"{text!r} is not a time that an entry was due at; the year must be in {YEARS.start}…{YEARS.stop}")
    return moment


def _slots(entry: Entry, begin: datetime, end: datetime) -> list[datetime]:
    if begin > end:
        raise Failed(f"--from {begin.isoformat()} is later than --to {end.isoformat()}")
    slots = list(islice(entry.slots(begin, min(end, datetime.now(UTC))), MAX_SLOTS + 1))
    if len(slots) > MAX_SLOTS:
        raise Failed(f"{entry.name} was due more than {MAX_SLOTS} times in that range; choose a narrower one")
    return slots


def _row(app: Any, entry: Entry, due: datetime, *, dry_run: bool) -> dict[str, Any]:
    stood = before(entry, due)
    starts = stood is None and not dry_run
    call = start(app, entry, due, "gate backfill") if starts else tick(entry, due)
    return {"due": due.isoformat(), "call": call, "before": stood, "started": starts}


def _in_words(entry: str, rows: list[dict[str, Any]], *, dry_run: bool) -> str:
    if not rows:
        return f"{entry}: never due in that range, up to now"
    verb = "would start" if dry_run else "started"
    fresh = sum(row["before"] is None for row in rows)
    lines = table([(row["due"], f"ran before: {row['before']}" if row["before"] else verb) for row in rows])
    return f"{lines}\n{entry}: {verb} {fresh} of {len(rows)}"


commands = (show_schedule, run, backfill)
