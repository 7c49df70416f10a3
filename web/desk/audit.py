"""`/audit`: who decided what, when, by which door and why; newest first."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute

from state.agents import audit
from state.agents.audit import DOORS, AuditEntry
from state.decision_link import key_path
from web.desk import acting, door
from web.desk.visit import Visit
from workers.people import all_agents

#: Entries of a page.
COUNT = 50
#: What is decided about an agent, a schedule entry or a draft; everything else is about a key or a call.
_NO_KEY = frozenset({"pause", "resume", "stop-all", "run", "backfill", "autonomy", "draft approve", "draft reject"})
#: What is decided about a host.
_HOST = "host-gone"
#: Kinds of decisions that can be asked for.
KINDS = (
    "applied", "not-applied", "cancel", "approve", "reject", "revise", "replay", "revoke", "pause", "resume", "stop-all", "run",
    "backfill", "autonomy", "draft approve", "draft reject", _HOST,
)  # fmt: skip


def routes() -> list[BaseRoute]:
    """Return the route of the audit."""
    return [door.page("/audit", show)]


def show(visit: Visit) -> Response:
    """Show a page of decisions, those that the filters ask for."""
    asked = {name: visit.query(name) for name in ("agent", "door", "what", "by", "subject")}
    known = all_agents()
    chosen = [asked["agent"]] if asked["agent"] in known else known
    filters = {name: value for name, value in asked.items() if name != "agent"}
    try:
        found = audit.read(chosen, limit=COUNT + 1, before=visit.query("before") or None, **filters)
    except ValueError:
        raise HTTPException(400, "this page of the audit does not exist; begin with the newest decisions") from None
    rows = found[:COUNT]
    kept = "&".join(f"{name}={acting.quoted(value)}" for name, value in asked.items() if value)
    return visit.render(
        "audit.html",
        current="audit",
        rows=[(each, _path(each)) for each in rows],
        older=f"?{kept}&before={acting.quoted(rows[-1].cursor)}".replace("?&", "?") if len(found) > COUNT else "",
        is_later=bool(visit.query("before")),
        newest=f"?{kept}",
        asked=asked,
        agents=known,
        doors=DOORS,
        kinds=KINDS,
    )


def _path(entry: AuditEntry) -> str:
    """Return the page of what was decided about; that of the agent if it was the agent."""
    if entry.what in {"replay", "revoke"}:
        return acting.call_path(entry.subject).lstrip("/")
    if not entry.subject or entry.what in {"pause", "resume", "stop-all", "autonomy"}:
        return acting.agent_path(entry.agent).lstrip("/")
    if entry.what == _HOST:
        return "hosts"
    if entry.what in {"run", "backfill"}:
        return f"schedule#{acting.quoted(entry.subject)}"
    return "" if entry.what in _NO_KEY else key_path(entry.agent, entry.subject).lstrip("/")
