"""The decisions of programs: the API's door to `workers.decisions`, which the commands and the desk use too."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException

from gatekeeper.policies.spec import agents
from gatekeeper.redact import clean
from gatekeeper.schedule import entries
from gatekeeper.tables.config_lines import TableError
from state.agents.snapshot import snapshot
from state.ledger.resolve import NotResolved
from web.api.bodies import OWN_FIELDS
from web.api.operation import Asked, unfit
from web.api.reading import named_agents
from workers import decisions
from workers.decisions import By, NotDecided, NotFound

Action = Callable[[Asked], Any]


def told(decide: Action) -> Action:
    """Return a decision whose refusals have statuses: 404 for an unknown name, 409 where the state does not allow it."""

    def decided(asked: Asked) -> Any:
        try:
            return decide(asked)
        except NotFound as error:
            raise HTTPException(404, clean(str(error))) from None
        except NotResolved as error:  # also of a key that changed since it was seen
            raise HTTPException(409, clean(str(error))) from None
        except (NotDecided, TableError) as error:
            raise HTTPException(422, clean(str(error))) from None

    return decided


@told
def pause(asked: Asked) -> dict[str, Any]:
    """Pause an agent; return its head, as `gate pause --json` does."""
    agent = asked.path("name")
    decisions.pause(agent, _by(asked))
    return snapshot(agent).head


@told
def resume(asked: Asked) -> dict[str, Any]:
    """Resume an agent; return its head, as `gate resume --json` does."""
    agent = asked.path("name")
    decisions.resume(agent, _by(asked))
    return snapshot(agent).head


@told
def set_autonomy(asked: Asked) -> dict[str, Any]:
    """Say how far an agent may go, as `gate autonomy --json` does."""
    agent, mode = asked.path("name"), asked.body.mode
    decisions.warn_of_older(agent, mode)
    return {"agent": agent, "autonomy": mode, "before": decisions.set_autonomy(agent, mode, _by(asked))}


@told
def host_gone(asked: Asked) -> dict[str, Any]:
    """Say that a host never comes back, as `gate host-gone --json` does."""
    try:
        return decisions.host_gone(asked.path("host"), _by(asked), force=asked.body.force)
    except NotFound:
        raise
    except NotDecided as error:  # it lives, or the name fits several: the request is right, and not now
        raise HTTPException(409, clean(str(error))) from None


@told
def run(asked: Asked) -> dict[str, Any]:
    """Run an agent's schedule entry now, as `gate run --json` does."""
    agent = asked.path("name")
    if agent not in agents():
        raise NotFound(f"there is no agent {agent[:80]!r}; there are: {', '.join(agents())}")
    return decisions.run(_entry(agent, asked.body.entry), _by(asked))


@told
def resolve(asked: Asked) -> dict[str, Any]:
    """Say what became of a key, as `gate resolve --json` does."""
    key, agent, body = *_place(asked), asked.body
    for how, field in OWN_FIELDS.items():
        if field in body.model_fields_set and body.how != how:
            raise unfit({field: f"it belongs to the resolution {how}"})
    result = json.dumps(body.result, ensure_ascii=False)
    return decisions.resolve(key, body.how, _by(asked), agent=agent, seen=body.seen, result=result, force=body.force)


@told
def approve(asked: Asked) -> dict[str, Any]:
    """Let a held key run, as `gate approve --json` does; with a payload, as `revise` does."""
    if "payload" in asked.body.model_fields_set:
        return _revise(asked)
    key, agent = _place(asked)
    return decisions.approve(key, _by(asked), agent=agent, seen=asked.body.seen)


@told
def revise(asked: Asked) -> dict[str, Any]:
    """Send another payload of a key, as `gate revise --json` does."""
    return _revise(asked)


@told
def reject(asked: Asked) -> dict[str, Any]:
    """Refuse a held key: it is never sent."""
    key, agent = _place(asked)
    return decisions.reject(key, _by(asked), agent=agent, seen=asked.body.seen)


def _revise(asked: Asked) -> dict[str, Any]:
    key, agent = _place(asked)
    payload = json.dumps(asked.body.payload, ensure_ascii=False)
    return decisions.revise(key, payload, _by(asked), agent=agent, seen=asked.body.seen)


def _by(asked: Asked) -> By:
    return By(asked.token.name, "api", asked.body.why)


def _place(asked: Asked) -> tuple[str, str]:
    """Return the key and the agent that a request names; raise NotFound if there is no such key."""
    key, (agent, *others) = asked.path("key"), named_agents(asked)
    record = decisions.find(key, "" if others else agent)
    return record["key"], record["agent"]


def _entry(agent: str, named: str) -> str:
    """Return the schedule entry to run; raise HTTPException 422 if the request has to name one, or names another agent's."""
    schedule = entries.read()
    own = [entry.name for entry in schedule.entries.values() if entry.agent == agent]
    if named in own:
        return named
    if not named and len(own) == 1:
        return own[0]
    raise unfit({"entry": f"write one of {agent}'s entries: {', '.join(own)}" if own else f"{agent} has none"})
