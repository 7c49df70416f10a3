"""Agents, keys and calls as the API shows them: the values that the commands print with `--json`."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException

from gatekeeper.policies.spec import agents
from gatekeeper.redact import clean
from gatekeeper.tables.config_lines import TableError
from state.agents import audit, history
from state.ledger import Ledger
from tasks.monitor import incident_log
from web.api import schemas
from web.api.operation import Asked
from workers.commands import status
from workers.people import all_agents
from workers.readings import entries, hosts

#: Incidents of the past that are shown.
MAX_PAST = 50
#: Entries of the audit in one answer, at most and if the request does not say.
MAX_LIMIT, DEFAULT_LIMIT = 500, 50
#: Keys that wait in one answer, which takes a fraction of a second to read, and keys that may be passed over.
MAX_HELD, MAX_START = 1000, 1_000_000
#: Query parameters that choose entries of the audit by one of their fields.
AUDIT_FILTERS = frozenset({"door", "what", "by", "subject"})


def list_agents(_: Asked) -> list[dict[str, Any]]:
    """Return every agent, as `gate status --json` does."""
    return status.heads(agents())


def list_held(asked: Asked) -> list[dict[str, Any]]:
    """Return the keys that wait for a person or for a look-up, as `gate held --json` does; a page of them at most."""
    start, left = _number(asked, "start", 0, MAX_START), _number(asked, "limit", MAX_HELD, MAX_HELD, least=1)
    ledger, found = Ledger(), list[dict[str, Any]]()
    for agent, total in ledger.count_waiting(named_agents(asked)).items():
        if start < total and left > len(found):
            found += ledger.held(agent, start, left - len(found))
        start = max(0, start - total)
    return found


def show_key(asked: Asked) -> dict[str, Any]:
    """Return the story of a key, as `gate explain KEY --json` does."""
    key = asked.path("key")
    return _found(history.read_history(named_agents(asked), key), f"no key {key[:80]!r} is known")


def show_call(asked: Asked) -> dict[str, Any]:
    """Return the story of a call's key and the answer of the call, as `gate explain CALL --json` does."""
    call = asked.path("call")
    found = (history.of_call(agent, call) for agent in named_agents(asked))
    return _found(next(filter(None, found), None), "no call with this id is known; old calls are forgotten")


def list_hosts(_: Asked) -> list[dict[str, Any]]:
    """Return the hosts, as `gate hosts --json` does."""
    return [each.in_json() for each in hosts.read()]


def list_incidents(_: Asked) -> dict[str, Any]:
    """Return what is wrong now, and the newest of what was wrong."""
    found = {"open": incident_log.current(), "past": incident_log.past(MAX_PAST)}
    return {name: [each.model_dump(mode="json") for each in incidents] for name, incidents in found.items()}


def list_audit(asked: Asked) -> list[dict[str, Any]]:
    """Return the decisions of persons and programs, newest first."""
    chosen = {name: value for name, value in asked.query.items() if name in AUDIT_FILTERS}
    limit, before = _number(asked, "limit", DEFAULT_LIMIT, MAX_LIMIT, least=1), asked.query.get("before")
    if before is not None and not re.fullmatch(schemas.CURSOR, before):
        raise HTTPException(400, "before is not the cursor of an entry; take the last one of the page before")
    return [asdict(entry) for entry in audit.read(named_agents(asked), limit=limit, before=before, **chosen)]


def list_schedule(_: Asked) -> list[dict[str, Any]]:
    """Return the schedule, as `gate schedule --json` does."""
    try:
        return entries.in_json(datetime.now(UTC))
    except TableError as error:
        raise HTTPException(409, clean(str(error))) from None


def _number(asked: Asked, name: str, default: int, most: int, least: int = 0) -> int:
    """Return a query parameter that is a number; raise HTTPException 400 if it is out of its range."""
    text = asked.query.get(name, str(default))
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not is_number or not least <= int(text) <= most:
        raise HTTPException(400, f"{name} is a number from {least} to {most}")
    return int(text)


def named_agents(asked: Asked) -> list[str]:
    """Return the agent that the query names, or all agents; raise HTTPException 404 for an unknown one."""
    known, agent = all_agents(), asked.query.get("agent")
    if agent is not None and agent not in known:
        raise HTTPException(404, f"there is no agent {agent[:80]!r}; there are: {', '.join(known)}")
    return known if agent is None else [agent]


def _found(record: dict[str, Any] | None, missing: str) -> dict[str, Any]:
    if record is None:
        raise HTTPException(404, missing)
    return record
