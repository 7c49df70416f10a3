"""`/incidents`: what is wrong now and what was wrong, since when, and what was done and told about it."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from tasks.monitor import incident_log
from web.desk import door
from web.desk.visit import Visit

#: Incidents that ended and are shown.
MAX_PAST = 50


def routes() -> list[BaseRoute]:
    """Return the route of the incidents."""
    return [door.page("/incidents", show)]


def show(visit: Visit) -> Response:
    """Show the open incidents, and then those that ended."""
    agent = visit.query("agent")
    current = [each for each in incident_log.current() if agent in ("", each.agent)]
    past = [each for each in incident_log.past(MAX_PAST) if agent in ("", each.agent)]
    return visit.render("incidents.html", current="incidents", open=current, past=past, agent=agent)
