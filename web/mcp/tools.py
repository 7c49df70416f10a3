"""The tools that a program sees: a tool per task that its token may call, and three that look, if it may read."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api_token import READ, ApiToken
from gatekeeper.errors import InvalidArguments
from gatekeeper.policies.spec import TaskSpec, agents
from state.agents import history
from state.ledger import Ledger
from web.api import submission
from workers.commands import status
from workers.people import all_agents

#: The argument that stands for the key of a task that has none.
IDEMPOTENCY = "idempotency_key"
MAX_IDEMPOTENCY = 200
#: Characters of a tool's name, all of them letters, digits, - and _: the least that models allow.
MAX_NAME = 64
#: Keys of one agent in one answer, the oldest first: a model reads them all, with their payloads.
MAX_HELD = 50

_KEYLESS = (
    "Required: a text of your own for this one intent, such as a UUID; the same text never starts a second run. "
    "Repeat a call with the text that it had before."
)

Schema = dict[str, Any]


@dataclass(frozen=True)
class TaskTool:
    """One task as a tool."""

    name: str
    spec: TaskSpec

    @property
    def takes_idempotency(self) -> bool:
        return not self.spec.has_key

    @property
    def description(self) -> str:
        """The words for the model: what the task does, and how the gate treats its calls."""
        said = inspect.cleandoc(self.spec.body.__doc__ or "").partition("\n\n")[0]
        what = " ".join(said.split()) or f"Run the task {self.spec.name}."
        intent = "the same arguments" if self.spec.has_key else f"the same {IDEMPOTENCY}"
        effect = " It changes something outside: at most once." if self.spec.effect else ""
        return f"{what}{effect} Calls with {intent} are one call, so repeating one is safe. A refusal says why and when to try again."

    @property
    def schema(self) -> Schema:
        """The JSON schema of the arguments; a task without a key needs a text that stands for one."""
        found = self.spec.contract.schema
        if not self.takes_idempotency:
            return found
        argument = {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY, "description": _KEYLESS}
        properties = {**found.get("properties", {}), IDEMPOTENCY: argument}
        return {**found, "properties": properties, "required": [*found.get("required", ()), IDEMPOTENCY]}

    def submission(self, arguments: Mapping[str, Any], token: ApiToken) -> submission.Submission:
        """Return the call that a program asks for; raise InvalidArguments without the text that a key needs."""
        given = dict(arguments)
        key = given.pop(IDEMPOTENCY, "") if self.takes_idempotency else ""
        if self.takes_idempotency and not (isinstance(key, str) and 0 < len(key) <= MAX_IDEMPOTENCY):
            raise InvalidArguments(f"{IDEMPOTENCY} is missing; {_KEYLESS[len('Required: ') :]}")
        return submission.Submission(self.spec, given, token.name, door="mcp", idempotency_key=key)


@dataclass(frozen=True)
class LookTool:
    """A tool that only looks."""

    description: str
    schema: Schema
    look: Callable[[Mapping[str, Any]], Any]


def of_tasks(token: ApiToken) -> dict[str, TaskTool]:
    """Return the tasks that a token may call, by the names of their tools."""
    every = {name: TaskTool(name, spec) for name, spec in _named(submission.tasks(_ANY)).items()}
    return {name: tool for name, tool in every.items() if token.may_call(tool.spec.name)}


def looks(token: ApiToken) -> dict[str, LookTool]:
    """Return the tools that look, if a token may read. None decides: an agent cannot approve its own effects."""
    return _LOOKS if token.may(READ) else {}


#: Names must not depend on who asks, so that two programs mean the same by one.
_ANY = ApiToken("any", "")


def _named(specs: Mapping[str, TaskSpec]) -> dict[str, TaskSpec]:
    """Return tasks by names that every model allows; two that would have one name are told apart by a digest."""
    found: dict[str, TaskSpec] = {}
    for task, spec in specs.items():
        short = re.sub(r"[^A-Za-z0-9_-]", "_", task.removeprefix("tasks."))
        digest = hashlib.sha256(task.encode()).hexdigest()[:8]
        fits = len(short) <= MAX_NAME and short not in found
        found[short if fits else f"{short[: MAX_NAME - 9]}_{digest}"] = spec
    return found


def _held(arguments: Mapping[str, Any]) -> Any:
    ledger, agent = Ledger(), _text(arguments, "agent", needed=False)
    return [entry for each in all_agents() if agent in ("", each) for entry in ledger.held(each, 0, MAX_HELD)]


def _explain(arguments: Mapping[str, Any]) -> Any:
    what = _text(arguments, "key")
    found = history.read_history(all_agents(), what)
    found = found or next(filter(None, (history.of_call(agent, what) for agent in all_agents())), None)
    if found is None:
        raise InvalidArguments(f"neither a key nor a call {what[:80]!r} is known")
    return found


def _agents(_: Mapping[str, Any]) -> Any:
    return status.heads(agents())


def _text(arguments: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
    value = arguments.get(name, "")
    if not isinstance(value, str) or (needed and not value):
        raise InvalidArguments(f"{name} must be a text")
    return value


def _takes(needed: tuple[str, ...] = (), **properties: str) -> Schema:
    """Return the schema of texts, each with its description."""
    texts = {name: {"type": "string", "description": said} for name, said in properties.items()}
    return {"type": "object", "properties": texts, "required": list(needed), "additionalProperties": False}


_LOOKS = {
    "gatehouse_held": LookTool(
        f"List the keys that wait for a person or for a look-up, the oldest {MAX_HELD} of each agent. Only a person decides about them.",
        _takes(agent="An agent's name; all agents without it."),
        _held,
    ),
    "gatehouse_explain": LookTool(
        "Tell the story of one key or call: what happened to it, when and why.",
        _takes(("key",), key="A key such as publish:feed:hello, or the id of a call."),
        _explain,
    ),
    "gatehouse_agents": LookTool("List the agents: their state, pauses, errors and counts.", _takes(), _agents),
}
