"""`/keys/{agent}/{key}` and `/calls/{call}`: the whole story of one key or call, and what a person can do about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from state.agents import history
from state.decision_link import key_path
from state.ledger import Ledger
from state.ledger.journal_word import NEWEST_BYTES
from tasks.reporter import charts
from web.desk import acting, cards, door, editing, preview
from web.desk.cards import Card
from web.desk.visit import Visit
from workers import decisions
from workers.people import all_agents
from workers.readings import stories

#: Characters of a payload or a result in the page; a larger one is at `?whole=1`.
MAX_SHOWN, MAX_WHOLE = 30_000, 1_000_000
#: Events of a history, and records of the journal, that the page shows.
MAX_EVENTS, MAX_RECORDS = 100, 50
#: Bytes of the journal that `?journal=all` reads at most.
ALL_BYTES = 1 << 40
#: Fields of a record of the journal that are told beside its event.
_TOLD = ("outcome", "how", "state", "by", "why", "error", "fence", "door", "retry", "name")


CALL = "/calls/{call:path}"


def routes() -> list[BaseRoute]:
    """Return the routes of the pages of keys and calls, and of their forms."""
    return [
        door.page("/keys/{agent}/{key:path}", show_key),
        Route(CALL, show_at_desk, methods=["GET"]),
        door.action("/replay", replay),
        door.action("/cancel", cancel),
    ]


def show_key(visit: Visit) -> Response:
    """Show one key of an agent."""
    agent, key = visit.path("agent"), visit.path("key")
    record = history.of_key(agent, key) if agent in all_agents() else None
    return _show(visit, record) if record else _unknown(visit, "key", key)


def show_call(visit: Visit) -> Response:
    """Show one call, with the story of its key."""
    call = visit.path("call")
    found = (history.of_call(agent, call) for agent in all_agents())
    record = next((each for each in found if each), None)
    return _show(visit, record, call) if record else _unknown(visit, "call", call)


#: Answers a person's request for a call; `web.calls` serves the same address to programs.
show_at_desk: Callable[[Request], Awaitable[Response]] = door.page(CALL, show_call).endpoint


def replay(visit: Visit) -> Response:
    """Run a call again that ended without a result."""
    call = visit.form.get("call")
    acting.act(visit, lambda by: decisions.replay(call, by))
    return visit.go(acting.call_path(call), "The call runs again, under the same id and with the same arguments.")


def cancel(visit: Visit) -> Response:
    """Cancel a call that has not begun."""
    call = visit.form.get("call")
    told = acting.act(visit, lambda by: decisions.cancel(call, by))
    return visit.go(acting.call_path(call), f"{told[:1].upper()}{told[1:]}.")


def _show(visit: Visit, record: dict[str, Any], call: str = "") -> Response:
    story = stories.tell(record)
    agent, key, state = record["agent"], record["key"], record["state"]
    most = ALL_BYTES if visit.query("journal") == "all" else NEWEST_BYTES
    shown = MAX_WHOLE if visit.query("whole") else MAX_SHOWN
    return visit.render(
        "key.html",
        story=story,
        record=record,
        call=call,
        card=_card(agent, key) if key else None,
        editor=editing.editor(agent, key, state) if key else None,
        here=visit.here,
        may_replay=state == "rejected" and bool(story.case.call),
        may_cancel=state in {"queued", "waiting"} and bool(record.get("call")),
        frozen=preview.of(record.get("payload"), _digest(record.get("payload")), shown),
        result=_json(record.get("result"), shown),
        journal=Ledger().journal_word(agent, key, most) if key else None,
        told=_told,
        max_events=MAX_EVENTS,
        max_records=MAX_RECORDS,
        took=charts.duration,
    )


def _card(agent: str, key: str) -> Card | None:
    """Return the card of a key that waits for a person, with its whole payload."""
    waiting = Ledger().waiting_one(agent, key)
    return cards.card(waiting, None) if waiting else None


def _json(value: Any, shown: int) -> tuple[str, int]:
    """Return a value as indented JSON, cut to so many characters, and how many it has; empty for None."""
    text = "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
    return text[:shown], len(text)


def _digest(payload: Any) -> str:
    text = json.dumps(payload, ensure_ascii=False)
    return "" if payload is None else hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _told(record: dict[str, Any]) -> str:
    """Return what a record of the journal says besides its time and its event."""
    return ", ".join(f"{name} {record[name]}" for name in _TOLD if record.get(name) not in (None, ""))


def _unknown(visit: Visit, kind: str, name: str) -> Response:
    sentence = f"No {kind} {name} is known. Finished calls without an effect are forgotten after a week."
    links = [("Search for it", f"search?q={acting.quoted(name)}")] if len(name) <= acting.MAX_QUERY else []
    return visit.render("unknown.html", 404, title=f"No such {kind}", sentence=sentence, links=links)


def path_of(record: dict[str, Any]) -> str:
    """Return the path of the page of a record of `history.read_history`."""
    return key_path(record["agent"], record["key"]) if record["key"] else acting.call_path(record["call"])
