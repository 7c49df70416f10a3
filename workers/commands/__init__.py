"""`celery -A workers gate …`, which is also `gatehouse …`: the commands for the operator."""

from __future__ import annotations

import click

from workers.commands import (
    dead,
    doctor,
    draft,
    drill,
    explain,
    listing,
    pause,
    recover,
    resolve,
    schedule,
    status,
)

gate = click.Group("gate", help="Look at agents, pause them, and find out what happened.")

parts = (status, listing, explain, pause, resolve, draft, dead, schedule, recover, drill, doctor)
for command in (command for part in parts for command in part.commands):
    gate.add_command(command)
