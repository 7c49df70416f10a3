"""`/decide/{token}`: the card of one key for a person who has the link from an alert, and need not sign in.

Mail programs open every link, so GET changes nothing. The form decides once, about the version that the alert told of.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute

from state import decision_link
from state.agents import history
from state.decision_link import Link, UnusableLink
from state.errors import JournalUnavailable, StoreError
from state.ledger import Ledger
from state.ledger.resolve import Stale
from web.desk import attendance, cards, cookies, deciding, door, sign_in
from web.desk.ticket import Ticket
from web.desk.visit import Visit
from workers.commands import explain, sentences
from workers.commands.output import plain
from workers.decisions import By


def routes() -> list[BaseRoute]:
    """Return the routes of links."""
    return [
        door.page("/decide/{token}", show, is_open=True),
        door.action("/decide/{token}", decide, is_open=True),
    ]


def show(visit: Visit) -> Response:
    """Show the key if the link can still decide about it, else what became of it."""
    link = _link(visit)
    waiting = Ledger().waiting_one(link.agent, link.key)
    if waiting is None or waiting.version != link.version or decision_link.is_spent(visit.path("token")):
        return _over(visit, link)
    name = cookies.remembered_name(visit.request)
    return visit.render("link.html", card=cards.card(waiting, None), action=visit.path("token"), given_name=name)


def decide(visit: Visit) -> Response:
    """Decide once, in the name that the person gives."""
    link, token = _link(visit), visit.path("token")
    name = sign_in.given_name(visit)
    if not name:
        raise HTTPException(422, "give your name too: the audit shows who decided; nothing was changed")
    by = By(name, "link", visit.form.why())
    if not decision_link.spend(token):
        return _over(visit, link)
    shown = Ticket(link.agent, link.key, link.version)
    try:
        told = deciding.carry_out(shown, visit.form.get("verb"), by)
    except Stale as error:
        return deciding.stale(visit, shown, error)
    except (HTTPException, JournalUnavailable, StoreError):  # nothing was changed
        decision_link.give_back(token)
        raise
    attendance.note(name)
    response = visit.go(f"/decide/{token}", told)
    cookies.remember_name(visit.request, response, name)
    return response


def _link(visit: Visit) -> Link:
    try:
        return decision_link.read(visit.path("token"))
    except UnusableLink as error:
        raise HTTPException(410, str(error)) from None


def _over(visit: Visit, link: Link) -> Response:
    """Say what became of the key about which the link cannot decide any more."""
    record = history.read_history([link.agent], link.key)
    case = explain.case_of(plain(record)) if record else None
    told = sentences.about(case) if case else None
    answers = [explain.sentence(text) for text in (told.happened, told.why)] if told else []
    return visit.render(
        "link_over.html", 410 if visit.request.method == "POST" else 200,
        link=link, state=case.state if case else "not known", answers=answers,
    )  # fmt: skip
