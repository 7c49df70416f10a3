"""`gate schedule`, `gate run` and `gate backfill`: show the schedule, and run an entry now or for missed due times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from state import hints
from workers import decisions
from workers.commands import paint, posts, times
from workers.commands.output import Failed, command, show, table
from workers.commands.posts import PostFile
from workers.decisions import by_command
from workers.readings import entries

#: Columns from which on a row has room for clock times too.
WIDE = 80
#: Accepted years: others are typing errors.
YEARS = range(2000, 3000)


@command("schedule", "schedule", "schedule --posts --json")
@click.option("--posts", "only_posts", is_flag=True, help="Only the posts: to come, due and broken.")
def show_schedule(*, only_posts: bool, json_: bool) -> None:
    """Show each entry with its last, next and missed ticks. Then come the posts to come, broken and held back."""
    now = datetime.now(UTC)
    if only_posts:
        files = list(posts.files())
        show(json_, [each.as_json() for each in files], _posts_text(files, now) or "there is no post")
        return
    rows = entries.in_json(now)
    lines = [_line(row, now) for row in rows]
    text = table([("", "entry", "cron", "last tick", "next", "missed", ""), *lines])
    coming = "" if json_ else _posts_text([each for each in posts.files() if each.state != "due"], now)
    show(json_, rows, f"{text}\n\n{coming}".rstrip())
    if any(row["problem"] for row in rows):
        raise click.exceptions.Exit(1)


def _line(row: dict[str, Any], now: datetime) -> tuple[str, ...]:
    mark = paint.paint("WRONG", "bad") if row["problem"] else paint.paint("ok", "good")
    if "cron" not in row:
        return (mark, row["entry"], "", "", "", "", row["problem"])
    tell = times.ago if (paint.width() or WIDE) < WIDE else times.when
    last = f"{tell(row['last'], now)}: {row['state'] or 'over'}" if row["last"] else "never"
    missed = paint.paint(str(row["missed_ticks"]), "bad") if row["missed_ticks"] else "0"
    return (mark, row["entry"], row["cron"], last, tell(row["next"], now), missed, row["problem"] or "")


def _posts_text(files: list[PostFile], now: datetime) -> str:
    """Return the posts to come and due, and the broken ones with what is wrong."""
    known = [each for each in files if each.state in {"to come", "due"}]
    rows = [
        ("", times.when(each.publish_at or now, now), each.id, ", ".join(each.destinations), each.title)
        for each in known
    ]
    broken = [("", paint.paint("broken", "bad"), each.why) for each in files if each.state == "broken"]
    idle = [("", each.id, each.why) for each in files if each.state == "held back"]
    parts = [f"posts to come\n{table(rows)}"] if rows else []
    parts += [f"broken posts\n{table(broken)}"] if broken else []
    parts += [f"posts held back\n{table(idle)}"] if idle else []
    return "\n\n".join(parts)


@command("run", "run publish", "run publish --due 2026-11-22T06:00Z")
@click.argument("entry")
@click.option("--due", help="Run the tick of this time, such as 2026-11-22T06:00Z, if it did not run yet.")
@click.option("--why", default="run by hand", show_default=True, help="What to tell the next person who looks.")
def run(entry: str, due: str | None, why: str, *, json_: bool) -> None:
    """Run one schedule ENTRY now. Its identity is the entry and this second, or the time given by --due."""
    answer = decisions.run(entry, by_command(why), due=_parse_time(due) if due else None)
    state, call = answer["before"], answer["call"]
    done = f"this tick ran before and is {state}; nothing new was started" if state else f"call {call}"
    show(json_, answer, f"{entry}: {done}\nsee: {hints.gatehouse('explain', call)}")


@command("backfill", "backfill analyse --from 2026-11-20 --to 2026-11-22 --dry-run")
@click.argument("entry")
@click.option("--from", "begin", required=True, help="The first time, such as 2026-11-22T06:00Z; UTC without a zone.")
@click.option("--to", "end", required=True, help="The last time; later than now counts as now.")
@click.option("--dry-run", is_flag=True, help="Only say what would be started.")
@click.option("--why", default="run by hand", show_default=True, help="What to tell the next person who looks.")
def backfill(entry: str, begin: str, end: str, why: str, *, dry_run: bool, json_: bool) -> None:
    """Run ENTRY for each time that it missed. From --from to --to: each at which it was due and did not run."""
    person = None if dry_run else by_command(why)
    rows = decisions.backfill(entry, _parse_time(begin), _parse_time(end), person)
    show(json_, rows, _summary(entry, rows, dry_run=dry_run))


def _parse_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(microsecond=0, tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Failed(f"{text!r} is not a time; write for example 2026-11-22T06:00Z") from None
    if not YEARS.start <= time.year < YEARS.stop:
        raise Failed(f"{text!r} is not a time that an entry was due at; the year must be in {YEARS.start}…{YEARS.stop}")
    return time


def _summary(entry: str, rows: list[dict[str, Any]], *, dry_run: bool) -> str:
    if not rows:
        return f"{entry}: never due in that range, up to now"
    verb = "would start" if dry_run else "started"
    count = sum(row["before"] is None for row in rows)
    lines = table([(row["due"], f"ran before: {row['before']}" if row["before"] else verb) for row in rows])
    return f"{lines}\n{entry}: {verb} {count} of {len(rows)}"


commands = (show_schedule, run, backfill)
