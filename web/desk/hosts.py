"""`/hosts`: the hosts that share this Redis, their last signs of life, and those that are gone for good."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from state.formatting import iso
from web.desk import door
from web.desk.visit import Visit
from workers.readings import hosts as readings


def routes() -> list[BaseRoute]:
    """Return the route of the hosts."""
    return [door.page("/hosts", show)]


def show(visit: Visit) -> Response:
    """Show each host, and first what is wrong."""
    found = readings.read()
    rows = [(each, None if each.host.seen_ms is None else iso(each.host.seen_ms)) for each in found]
    wrong = list(readings.problems(found))
    return visit.render("hosts.html", current="hosts", rows=rows, wrong=wrong)
