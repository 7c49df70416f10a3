"""`POST /decisions`: what a person decided about a key, or about several approvals at once.

The form names each key with the version that the person saw, so that a second click, another tab or an old page changes
nothing. Effects in doubt are decided one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute

from clients.text.words import capitalized, counted
from state.ledger.resolve import NotResolved, Stale
from web.desk import door, editing, ticket
from web.desk.form import Form
from web.desk.ticket import Ticket
from web.desk.visit import Visit
from workers import decisions
from workers.decisions import By, NotDecided

#: Keys that one form decides about at once: those of one page.
MAX_AT_ONCE = 50
#: Failures of a form for several keys that the next page tells.
MAX_TOLD = 3

_Decide = Callable[[Ticket, By], dict[str, Any]]


def routes() -> list[BaseRoute]:
    """Return the routes of decisions about keys."""
    return [door.action("/decisions", decide), door.action("/decisions/many", decide_many)]


def decide(visit: Visit) -> Response:
    """Decide about one key, and lead back to the page that the person came from."""
    shown, verb = ticket.read(visit.form.get("card")), visit.form.get("verb")
    by = By(visit.name, "desk", visit.form.why())
    try:
        told = revise(shown, visit.form, by) if verb == "revise" else carry_out(shown, verb, by)
    except Stale as error:
        return stale(visit, shown, error)
    return visit.go(visit.form.get("next") or "/", told)


def revise(shown: Ticket, form: Form, by: By) -> str:
    """Send what a person made of a payload instead of it; return what is told. Raises as `carry_out` does."""
    text = editing.payload(shown, form)
    try:
        answer = decisions.revise(shown.key, text, by, agent=shown.agent, seen=shown.version)
    except Stale:
        raise
    except (NotResolved, NotDecided) as error:
        raise HTTPException(409, str(error)) from None
    return f"{shown.key}: your text is sent instead. It is {answer['state']} now."


def decide_many(visit: Visit) -> Response:
    """Approve or reject the approvals that were chosen; what fails does not stop the rest."""
    chosen = [ticket.read(text) for text in visit.form.all("pick")]
    verb, by = visit.form.get("verb"), By(visit.name, "desk", visit.form.why())
    if verb not in {"approve", "reject"}:
        raise HTTPException(400, "several keys at once are approved or rejected, and nothing else")
    if not chosen:
        raise HTTPException(422, "choose at least one card, by its box; nothing was changed")
    if len(chosen) > MAX_AT_ONCE:
        raise HTTPException(413, f"choose {MAX_AT_ONCE} cards at most; nothing was changed")
    failed = list(_failures(chosen, verb, by))
    done = counted(len(chosen) - len(failed), "key", "keys")
    told = [f"{capitalized(done)} {'approved' if verb == 'approve' else 'rejected'}."]
    told += [f"Not decided: {text}." for text in failed[:MAX_TOLD]]
    told += [f"And {len(failed) - MAX_TOLD} more were not decided."] if len(failed) > MAX_TOLD else []
    return visit.go("/?kind=approval", told[0], told[1:])


def _failures(chosen: list[Ticket], verb: str, by: By) -> Iterator[str]:
    for shown in chosen:
        try:
            carry_out(shown, verb, by)
        except (NotResolved, HTTPException) as error:
            yield error.detail if isinstance(error, HTTPException) else str(error)


def carry_out(shown: Ticket, verb: str, by: By) -> str:
    """Decide about a key as it was seen; return what is told of it.

    Raises:
        Stale: The key is not any more what the person saw.
        HTTPException: The decision is not known, or cannot be taken; nothing was changed.
        JournalUnavailable: The decision cannot be kept.

    """
    if verb not in _VERBS:
        raise HTTPException(422, "choose one of the buttons; nothing was changed")
    act, word = _VERBS[verb]
    try:
        answer = act(shown, by)
    except Stale:
        raise
    except (NotResolved, NotDecided) as error:
        raise HTTPException(409, str(error)) from None
    return f"{shown.key}: {word}. It is {answer['state']} now."


def stale(visit: Visit, shown: Ticket, error: Stale) -> Response:
    """Return the page of a decision that came too late: who decided what, and when."""
    return visit.render("stale.html", 409, sentence=str(error), shown=shown)


def _resolve(how: Any) -> _Decide:
    return lambda shown, by: decisions.resolve(shown.key, how, by, agent=shown.agent, seen=shown.version)


#: By decision: what it calls, and what is told of it.
_VERBS: dict[str, tuple[_Decide, str]] = {
    "applied": (_resolve("applied"), "you said that it happened"),
    "not-applied": (_resolve("not-applied"), "you said that it did not happen"),
    "cancel": (_resolve("cancel"), "you cancelled it"),
    "approve": (
        lambda shown, by: decisions.approve(shown.key, by, agent=shown.agent, seen=shown.version),
        "you approved it",
    ),
    "reject": (
        lambda shown, by: decisions.reject(shown.key, by, agent=shown.agent, seen=shown.version),
        "you rejected it",
    ),
}
