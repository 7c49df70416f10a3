"""Every route of the desk."""

from __future__ import annotations

from starlette.routing import BaseRoute

from web.desk import (
    agents,
    audit,
    by_link,
    deciding,
    draft_pages,
    home,
    hosts,
    incidents,
    keys,
    schedule,
    search,
    sign_in,
    static,
    words,
)


def routes() -> list[BaseRoute]:
    """Return the routes of all pages."""
    acts = (deciding, draft_pages, by_link, sign_in)
    pages = (home, agents, keys, schedule, incidents, hosts, audit, search, words, static)
    return [route for part in (*acts, *pages) for route in part.routes()]
