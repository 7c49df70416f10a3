"""`gate hosts` and `gate host-gone`: the hosts that share this Redis, and the decision that one is gone for good."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from state import hints
from state.formatting import iso
from workers import decisions
from workers.commands import times
from workers.commands.output import command, show, table
from workers.commands.paint import paint
from workers.decisions import by_command
from workers.readings import hosts as readings
from workers.readings.hosts import HostReading

#: How each state looks.
_STYLES = {"alive": "good", "stopped": "quiet", "silent": "bad", "gone": "quiet"}
_HEAD = ("HOST", "STATE", "SEEN", "VERSION", "CLOCK", "PROCESSES", "HOLDS", "")


@command("hosts", "hosts", "hosts --json")
def hosts(*, json_: bool) -> None:
    """Show each host, its last sign of life, and what it holds."""
    found, now = readings.read(), datetime.now(UTC)
    rows = [_HEAD, *(_row(each, now) for each in found)]
    wrong = [f"{what}\n  {change}" for what, change in readings.problems(found)]
    show(json_, [each.in_json() for each in found], "\n".join([table(rows) if found else "no host is known", *wrong]))


@command("host-gone", 'host-gone web2.3f2a9c --why "the machine burned down"')
@click.argument("host")
@click.option("--why", required=True, help="How you know; the next person who looks will read it.")
@click.option("--force", is_flag=True, help="Although it gave a sign of life within the last minute.")
def host_gone(host: str, why: str, *, force: bool, json_: bool) -> None:
    """Say that HOST never comes back, and free what it claimed.

    What it left in doubt is looked up, or can be resolved: its processes count as dead in all that they began before. If it comes back, what it claims then is its own.
    """
    said = decisions.host_gone(host, by_command(why), force=force)
    show(json_, said, "\n".join(_told(said)))


def _row(each: HostReading, now: datetime) -> tuple[str, ...]:
    host = each.host
    seen = "" if host.seen_ms is None else times.ago(iso(host.seen_ms), now)
    state = paint(host.state, _STYLES[host.state])
    note = "; ".join(filter(None, ["this host" if each.is_here else "", each.decision]))
    return host.name, state, seen, ", ".join(host.versions), each.clock, each.processes, each.holds, note


def _told(said: dict[str, Any]) -> list[str]:
    rows = [(each["key"], f"{each['before']} → {each['state']}") for each in said["keys"]]
    lines = [f"{said['host']} is gone, and held {readings.keys_in_words(len(rows))}"]
    if rows:
        lines += [table(rows), f"see what waits for a person: {hints.gatehouse('held')}"]
    return lines


commands = (hosts, host_gone)
