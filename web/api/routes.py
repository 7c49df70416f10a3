"""Every operation of the API. A route is served, and told in the OpenAPI document, because it is in this table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.routing import BaseRoute

from api_token import DECIDE, READ
from web.api import deciding, openapi, reading, schemas, tasks
from web.api.bodies import (
    ApproveBody,
    AutonomyBody,
    HostGoneBody,
    PauseBody,
    RejectBody,
    ResolveBody,
    ResumeBody,
    ReviseBody,
    RunBody,
)
from web.api.operation import ApiAnswer, ApiBody, Asked, Operation, Schema, in_thread


async def _document(_: Asked) -> ApiAnswer:
    return ApiAnswer(openapi.document(OPERATIONS))


def _read(
    id_: str, path: str, summary: str, read: Callable[[Asked], Any], answer: Schema, **query: Schema
) -> Operation:
    """Return an operation that looks at something."""
    answers = {200: ("What there is", answer)}
    wrong = frozenset({404} if query or "{" in path else ())
    return Operation(id_, "GET", path, summary, in_thread(read), answers, READ, wrong, query)


def _decide(
    id_: str,
    path: str,
    summary: str,
    decide: Callable[[Asked], Any],
    body: type[ApiBody],
    answer: Schema,
    **query: Schema,
) -> Operation:
    """Return an operation that changes something."""
    answers = {200: ("What became of it", answer)}
    return Operation(id_, "POST", path, summary, in_thread(decide), answers, DECIDE, DECIDE_PROBLEMS, query, body)


#: Errors of requests with a body that decide about a name.
DECIDE_PROBLEMS = frozenset({404, 408, 409, 413, 415, 422})
#: The paths of one key and of one agent. A longer path comes first in the table: a key may have slashes.
_KEY, _AGENT = "/api/keys/{key:path}", "/api/agents/{name}"
OPERATIONS = (
    Operation(
        "callTask", "POST", "/tasks/{name}", "Call a task",
        tasks.call_task, tasks.ANSWERS, problems=tasks.PROBLEMS,
    ),
    _decide("pauseAgent", f"{_AGENT}/pause", "Let nothing of an agent start", deciding.pause, PauseBody, schemas.AGENT),
    _decide("resumeAgent", f"{_AGENT}/resume", "Let an agent run again", deciding.resume, ResumeBody, schemas.AGENT),
    _decide("runAgent", f"{_AGENT}/run", "Run an agent's schedule entry now", deciding.run, RunBody, schemas.TICK),
    _decide("setAutonomy", f"{_AGENT}/autonomy", "Say how far an agent may go", deciding.set_autonomy, AutonomyBody, schemas.AUTONOMY),
    _decide("hostGone", "/api/hosts/{host}/gone", "Say that a host never comes back", deciding.host_gone, HostGoneBody, schemas.HOST_GONE),
    _decide("resolveKey", f"{_KEY}/resolve", "Say what became of a key", deciding.resolve, ResolveBody, schemas.DECIDED, **schemas.OF_AGENT),
    _decide("approveKey", f"{_KEY}/approve", "Let a held key run", deciding.approve, ApproveBody, schemas.DECIDED, **schemas.OF_AGENT),
    _decide("reviseKey", f"{_KEY}/revise", "Send another payload of a key", deciding.revise, ReviseBody, schemas.DECIDED, **schemas.OF_AGENT),
    _decide("rejectKey", f"{_KEY}/reject", "Refuse a held key", deciding.reject, RejectBody, schemas.DECIDED, **schemas.OF_AGENT),
    _read("listAgents", "/api/agents", "List the agents and what is wrong with each", reading.list_agents, schemas.AGENTS),
    _read("listHeld", "/api/held", "List the keys that wait for a person or for a look-up", reading.list_held, schemas.HELD, **schemas.OF_AGENT, **schemas.OF_PAGE),
    _read("showKey", _KEY, "Show the story of a key", reading.show_key, schemas.STORY, **schemas.OF_AGENT),
    _read("showCall", "/api/calls/{call:path}", "Show the story of a call and its answer", reading.show_call, schemas.STORY, **schemas.OF_AGENT),
    _read("listSchedule", "/api/schedule", "List the entries of the schedule", reading.list_schedule, schemas.SCHEDULE),
    _read("listHosts", "/api/hosts", "List the hosts and what each holds", reading.list_hosts, schemas.HOSTS),
    _read("listIncidents", "/api/incidents", "List what is wrong, and what was", reading.list_incidents, schemas.INCIDENTS),
    _read("listAudit", "/api/audit", "List who decided what", reading.list_audit, schemas.AUDIT, **schemas.OF_AGENT, **schemas.OF_AUDIT),
    Operation(
        "readDocument", "GET", "/api/openapi.json", "Read this document",
        _document, {200: ("The document", {"type": "object"})},
    ),
)  # fmt: skip


def routes() -> list[BaseRoute]:
    """Return the routes of the API, in the order of the table."""
    return [operation.route() for operation in OPERATIONS]
