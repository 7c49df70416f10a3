"""`celery -A workers gate …`: the commands for the person who runs this."""

from __future__ import annotations

import click

from workers.gate import doctor, look, restore, schedule, switch

gate = click.Group("gate", help="Look at agents, pause them, and find out what happened.")

for command in (*look.commands, *switch.commands, *schedule.commands, *restore.commands, *doctor.commands):
    gate.add_command(command)
