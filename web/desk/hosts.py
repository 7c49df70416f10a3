"""`/hosts`: the hosts that share this Redis, their last signs of life, and the form to say that one is gone for good."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from state.formatting import iso
from web.desk import acting, door
from web.desk.visit import Visit
from workers import decisions
from workers.readings import hosts as readings


def routes() -> list[BaseRoute]:
    """Return the routes of the hosts."""
    return [door.page("/hosts", show), door.action("/hosts/{host}/gone", say_gone)]


def show(visit: Visit) -> Response:
    """Show each host, and first what is wrong."""
    found = readings.read()
    rows = [(each, None if each.host.seen_ms is None else iso(each.host.seen_ms)) for each in found]
    wrong = list(readings.problems(found))
    return visit.render("hosts.html", current="hosts", rows=rows, wrong=wrong)


def say_gone(visit: Visit) -> Response:
    """Say that a host never comes back; one that gave a sign within the last minute is refused."""
    name = visit.path("host")
    said = acting.act(visit, lambda by: decisions.host_gone(name, by))
    return visit.go("/hosts", f"{said['host']} is gone, and held {readings.keys_in_words(len(said['keys']))}.")
