"""`/search?q=`: find a key, a call, a post, or the words of an error. An exact name leads to its page."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from state.agents import search as names
from state.agents.calls import FoundCall, Ref
from state.decision_link import key_path
from state.formatting import iso
from web.desk import acting, door
from web.desk.visit import Visit
from workers.commands import posts
from workers.commands.posts import PostFile
from workers.people import all_agents

#: Rows of a page.
MAX_ROWS = 50
STATES = ("queued", "claimed", "sending", "done", "waiting", "unknown", "held", "rejected", "cancelled")


def routes() -> list[BaseRoute]:
    """Return the route of the search."""
    return [door.page("/search", show)]


def show(visit: Visit) -> Response:
    """Show what fits, best first; lead to the page of an exact name."""
    text, state, agent = visit.query("q")[: acting.MAX_QUERY], visit.query("state"), visit.query("agent")
    known = all_agents()
    chosen = [agent] if agent in known else known
    if text and (path := _exact(chosen, text)):
        return RedirectResponse(f"{visit.root}{path.lstrip('/')}", 303)
    found = names.search(chosen, text, MAX_ROWS if not state else names.MAX_DESCRIBED) if text else None
    rows = [each for each in found.calls if state in ("", each.state)][:MAX_ROWS] if found else []
    return visit.render(
        "search.html",
        q=text,
        found=found,
        rows=[(each, _path(each), iso(each.at_ms) if each.at_ms else None) for each in rows],
        post=_post(text) if found and not found.calls else None,
        state=state,
        states=STATES,
        agent=agent,
        agents=known,
        max_rows=MAX_ROWS,
    )


def _exact(agents: list[str], text: str) -> str | None:
    """Return the path of what has exactly this name; None if nothing has."""
    if text in agents:
        return acting.agent_path(text)
    ref = names.exact(agents, text)
    return None if ref is None else _path_of(ref)


def _path_of(ref: Ref) -> str:
    return key_path(ref.agent, ref.name) if ref.kind == "key" else acting.call_path(ref.name)


def _path(each: FoundCall) -> str:
    """Return the page of a call if it is another story than that of its key."""
    is_own = each.state in {"rejected", "cancelled"} or each.replayed or not each.key
    return (acting.call_path(each.call) if is_own and each.call else key_path(each.agent, each.key)).lstrip("/")


def _post(text: str) -> PostFile | None:
    """Return the post of this name for which no call was made; None if there is none, or if there are many files."""
    return None if posts.are_many() else posts.find(text)
