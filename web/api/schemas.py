"""The JSON schemas of the API's answers: the fields on which programs may rely; others may come."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
ANY: Schema = {}

#: The states of a key or call.
STATE: Schema = {
    "type": "string",
    "enum": ["queued", "claimed", "sending", "done", "waiting", "unknown", "held", "rejected", "cancelled"],
}


def fields(required: dict[str, Schema], **others: Schema) -> Schema:
    """Return the schema of an object with these fields."""
    return {"type": "object", "properties": required | others, "required": list(required)}


def listed(item: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


AGENT = fields(
    {"agent": TEXT, "revision": COUNT, "paused": {"type": "boolean"}, "last_run": MAYBE_TEXT},
    errors=listed({"type": "object"}),
    metrics={"type": "object", "additionalProperties": {"type": "integer"}},
    held=listed({"type": "object"}),
    closed=MAYBE_TEXT,
    budgets=listed({"type": "object"}),
)
AGENTS = listed(AGENT)
HELD = listed(
    fields({"key": TEXT, "agent": TEXT, "state": STATE, "since": TEXT, "why": MAYBE_TEXT, "payload": ANY}, version=TEXT)
)
STORY = fields(
    {
        "key": MAYBE_TEXT,
        "agent": TEXT,
        "task": MAYBE_TEXT,
        "state": STATE,
        "attempts": COUNT,
        "result": ANY,
        "story": listed(fields({"at": TEXT, "event": TEXT})),
    },
    call=MAYBE_TEXT,
    answer=ANY,
    payload=ANY,
)
SCHEDULE = listed(fields({"entry": TEXT, "problem": MAYBE_TEXT}, cron=TEXT, task=TEXT, last=MAYBE_TEXT, next=TEXT))
INCIDENT = fields({"id": TEXT, "kind": TEXT, "what": TEXT, "since": TEXT, "until": MAYBE_TEXT}, agent=TEXT, key=TEXT)
INCIDENTS = fields({"open": listed(INCIDENT), "past": listed(INCIDENT)})
HOSTS = listed(
    fields(
        {"host": TEXT, "state": TEXT, "here": {"type": "boolean"}, "seen": MAYBE_TEXT, "versions": listed(TEXT)},
        silent=MAYBE_NUMBER,
        clock=MAYBE_NUMBER,
        boot=MAYBE_TEXT,
        processes={"type": "object", "additionalProperties": COUNT},
        agents=listed(TEXT),
        claims=COUNT,
        doubts=COUNT,
        gone={"type": ["object", "null"]},
    )
)
AUDIT = listed(
    fields(dict.fromkeys(("at", "agent", "by", "door", "what", "subject", "why", "before", "after", "cursor"), TEXT))
)
#: What became of a key about which something was decided.
DECIDED = fields({"key": TEXT, "agent": TEXT, "state": STATE, "by": TEXT, "why": TEXT})
#: A host that is gone, and what it held.
HOST_GONE = fields(
    {
        "host": TEXT,
        "by": TEXT,
        "why": TEXT,
        "keys": listed(fields({"agent": TEXT, "key": TEXT, "before": STATE, "state": STATE})),
    }
)
#: How far an agent may go now, and could go before.
AUTONOMY = fields({"agent": TEXT, "autonomy": TEXT, "before": TEXT})
#: A tick that was started, or that ran before.
TICK = fields({"entry": TEXT, "task": TEXT, "call": TEXT, "due": TEXT, "before": MAYBE_TEXT})
#: A call that was accepted: where its end will be.
ACCEPTED = fields({"call": TEXT, "status_url": {"type": "string", "format": "uri"}}, state=STATE)
#: A call that has ended, with its answer.
ENDED = fields(
    {"call": TEXT, "status_url": TEXT, "state": STATE, "ok": {"type": "boolean"}, "key": MAYBE_TEXT},
    result=ANY,
    replayed={"type": "boolean"},
    rung=MAYBE_TEXT,
    error=TEXT,
    stage=TEXT,
    retry_after=MAYBE_NUMBER,
)
#: An error (RFC 9457). `errors` names the fields that are wrong; `call` and `status_url` the call that is in progress.
PROBLEM = fields(
    {"type": TEXT, "title": TEXT, "status": {"type": "integer"}},
    detail=TEXT,
    errors=listed(fields({"field": TEXT, "problem": TEXT})),
    call=TEXT,
    status_url=TEXT,
    state=TEXT,
)
#: The query parameter of operations that look at all agents by default.
OF_AGENT: dict[str, Schema] = {"agent": {"type": "string", "description": "Only this agent"}}
#: The query parameters of a page of what waits.
OF_PAGE: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "So many at most, 1000 by default"},
    "start": {"type": "integer", "minimum": 0, "maximum": 1_000_000, "description": "How many to pass over"},
}
#: The cursor of an entry: its time, its number and its agent.
CURSOR = "^[1-9][0-9]{0,14}-[0-9]{1,9}-[a-z0-9][a-z0-9_-]{0,63}$"
#: The query parameters of the audit.
OF_AUDIT: dict[str, Schema] = {
    "door": {"type": "string", "description": "Only decisions that came in here: command, desk, api, mcp, link"},
    "what": {"type": "string", "description": "Only this kind of decision, such as applied or pause"},
    "by": {"type": "string", "description": "Only decisions of this person or program"},
    "subject": {"type": "string", "description": "Only decisions about this key, call, draft or entry"},
    "limit": {"type": "integer", "minimum": 1, "maximum": 500, "description": "So many at most, 50 by default"},
    "before": {"type": "string", "pattern": CURSOR, "description": "The cursor of the last entry of the page before"},
}
