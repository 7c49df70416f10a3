"""The way from a form to a decision, for the pages of agents, calls and the schedule, and the addresses they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

from starlette.exceptions import HTTPException

from gatekeeper.errors import GatekeeperError
from gatekeeper.tables.config_lines import TableError
from state.ledger.resolve import NotResolved
from web.desk.visit import Visit
from workers.decisions import By, NotDecided, NotFound

Answer = TypeVar("Answer")

#: Characters of a search.
MAX_QUERY = 300


def act(visit: Visit, decide: Callable[[By], Answer]) -> Answer:
    """Take a decision of the person who sent this form, with their reason.

    Raises:
        HTTPException: 422 without a reason; 404 or 409 if the decision cannot be taken. Nothing is changed then.

    """
    by = By(visit.name, "desk", visit.form.why())
    try:
        return decide(by)
    except NotFound as error:
        raise HTTPException(404, str(error)) from None
    except (NotDecided, NotResolved, TableError, GatekeeperError) as error:
        raise HTTPException(409, str(error)) from None


def call_path(call: str) -> str:
    """Return the path of the page of a call."""
    return f"/calls/{quoted(call)}"


def agent_path(agent: str) -> str:
    """Return the path of the page of an agent."""
    return f"/agents/{quoted(agent)}"


def quoted(text: str) -> str:
    """Return a text as a part of a path, or as a value of a query."""
    return quote(text, safe="", errors="replace")
