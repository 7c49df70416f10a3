"""The writer's drafts at the desk: read one whole, edit it, approve it or reject it; or decide about several at once."""

from __future__ import annotations

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute

from clients.text.words import capitalized, counted
from tasks.writer import draft_list, review
from tasks.writer.draft_list import WaitingDraft
from tasks.writer.review import Decided
from tasks.writer.rewrite import Edit
from web.desk import door
from web.desk.visit import Visit
from workers import decisions
from workers.decisions import By, NotDecided

#: Characters of a draft's text that the list shows.
MAX_SHOWN = 1_500
#: Failures of a form for several drafts that the next page tells.
MAX_TOLD = 3


def routes() -> list[BaseRoute]:
    """Return the routes of drafts."""
    return [
        door.page("/drafts/{draft}", show),
        door.action("/drafts/many", decide_many),
        door.action("/drafts/{draft}/approve", approve),
        door.action("/drafts/{draft}/reject", reject),
    ]


def show(visit: Visit) -> Response:
    """Show one draft whole, with the form to edit it."""
    found, text = _find(visit.path("draft")), ""
    if found.state != "broken":
        try:
            text = review.text_of(found.draft)
        except review.DraftNotDecided as error:
            raise HTTPException(404, str(error)) from None
    return visit.render("draft.html", draft=found, text=text)


def approve(visit: Visit) -> Response:
    """Make the draft a post, as it is or as the person edited it."""
    name, seen, by = visit.path("draft"), visit.form.get("seen"), By(visit.name, "desk", visit.form.why())
    edit = _edit(visit) if visit.form.get("edited") else None
    return _decide(visit, name, lambda: decisions.draft_approve(name, by, seen=seen, edit=edit))


def reject(visit: Visit) -> Response:
    """Take the draft away from those that wait."""
    name, seen, by = visit.path("draft"), visit.form.get("seen"), By(visit.name, "desk", visit.form.why())
    return _decide(visit, name, lambda: decisions.draft_reject(name, by, seen=seen))


def decide_many(visit: Visit) -> Response:
    """Approve or reject the drafts that were chosen; what fails does not stop the rest."""
    chosen, verb = visit.form.all("pick"), visit.form.get("verb")
    if verb not in _VERBS:
        raise HTTPException(400, "several drafts at once are approved or rejected, and nothing else")
    if not chosen:
        raise HTTPException(422, "choose at least one draft, by its box; nothing was changed")
    by, failed = By(visit.name, "desk", visit.form.why()), []
    for each in chosen:
        name, _, seen = each.rpartition(" ")
        try:
            _VERBS[verb](name, by, seen=seen)
        except NotDecided as error:
            failed.append(f"Not decided: {error}.")
    done = capitalized(counted(len(chosen) - len(failed), "draft", "drafts"))
    return visit.go("/?kind=draft", f"{done} {'approved' if verb == 'approve' else 'rejected'}.", failed[:MAX_TOLD])


def excerpt(draft: WaitingDraft) -> tuple[str, bool]:
    """Return the beginning of a draft's text, and whether that is all; empty if it cannot be read."""
    try:
        text = review.text_of(draft.draft)
    except review.DraftNotDecided:
        return "", True
    return (text, True) if len(text) <= MAX_SHOWN else (f"{text[:MAX_SHOWN]}…", False)


def _find(name: str) -> WaitingDraft:
    found = next((each for each in draft_list.waiting() if each.draft == name), None)
    if found is None:
        raise HTTPException(404, f"no draft {name[:80]!r} waits; it may have been decided already")
    return found


def _edit(visit: Visit) -> Edit | None:
    """Return what the person made of the draft; None if it is as before, or is not there any more."""
    edit = Edit(visit.form.get("title"), visit.form.text("body").strip())
    found = next((each for each in draft_list.waiting() if each.draft == visit.path("draft")), None)
    is_same = found is not None and found.title == edit.title and review.text_of(found.draft).strip() == edit.body
    return None if found is None or is_same else edit


def _decide(visit: Visit, name: str, decide: Callable[[], Decided]) -> Response:
    try:
        decided = decide()
    except NotDecided as error:
        raise HTTPException(409, str(error)) from None
    then = "the publisher takes it at its next tick" if decided.state == "approved" else "it does not come back"
    return visit.go("/", f"{name} is {decided.state}; {then}.")


_VERBS: dict[str, Callable[..., Decided]] = {"approve": decisions.draft_approve, "reject": decisions.draft_reject}
