"""`celery -A workers gate …`, which is also `gatehouse …`: the commands for the operator."""

from __future__ import annotations

import click

from state import redis_format
from workers.commands import (
    alerts,
    audit,
    autonomy,
    dead,
    doctor,
    draft,
    drill,
    explain,
    hosts,
    journal,
    listing,
    pause,
    recover,
    resolve,
    schedule,
    status,
)

#: `\b` is click's mark for lines that stay as they are.
HELP = """Look at agents, pause them, and find out what happened.

\b
Examples:
  gatehouse status                        what is wrong now, and one row per agent
  gatehouse explain hello                 whether the post hello is out, why, and what to do
  gatehouse list --state rejected         what was refused or failed
  gatehouse pause publisher --why "…"     let nothing of it start

A command exits with 0 if it did what was asked, with 1 if not, and with 2 for wrong usage.
"""

gate = click.version_option(
    package_name="gatehouse",
    message=f"%(prog)s %(version)s, reads data up to format {redis_format.FORMAT}",
)(click.Group("gate", help=HELP))

parts = (
    status,
    listing,
    explain,
    pause,
    autonomy,
    resolve,
    draft,
    dead,
    schedule,
    audit,
    recover,
    hosts,
    journal,
    drill,
    doctor,
    alerts,
)
for command in (command for part in parts for command in part.commands):
    gate.add_command(command)
