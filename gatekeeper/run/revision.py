"""A person's text instead of the one that a task made: it fits the task's payload, and is still what the key stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gatekeeper.errors import GatekeeperError
from gatekeeper.policies.spec import TaskSpec
from gatekeeper.run import payload_types
from gatekeeper.run.effect import MAX_PAYLOAD, adapter_of
from state.model import Proposal

#: Problems of a payload that one message names.
MAX_PROBLEMS = 5


class RevisionError(GatekeeperError):
    """Raised for a payload that cannot take the place of the task's; names the field, and nothing is changed."""


def check(spec: TaskSpec, arguments: Mapping[str, Any], proposal: Proposal, text: str) -> str:
    """Validate a payload that a person wrote, as the task's own would be.

    Args:
        spec: The task.
        arguments: Those of the call, as JSON values.
        proposal: The text that it replaces.
        text: The new payload, as JSON text.

    Returns:
        The payload as it would be frozen.

    Raises:
        RevisionError: It does not fit.

    """
    kind = payload_types.find(proposal.type)
    if kind is None:
        raise RevisionError(
            f"the payload of {spec.name} is a {proposal.type or 'value of no known type'}, which this process does not "
            f"know: decide from the installation that runs the task"
        )
    adapter = adapter_of(kind)
    try:
        written = adapter.dump_json(adapter.validate_json(text), by_alias=True, round_trip=True).decode()
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)[:MAX_PROBLEMS]
        told = "; ".join(f"{_place(each['loc'])}: {each['msg']}" for each in problems)
        raise RevisionError(f"the payload does not fit {spec.name}: {told}") from None
    if len(written) > MAX_PAYLOAD:
        raise RevisionError(f"the payload has {len(written)} characters; at most {MAX_PAYLOAD} are kept with a key")
    _check_names(spec, json.loads(text), json.loads(written))
    _check_identity(spec, arguments, json.loads(proposal.text), json.loads(written))
    return written


def _place(path: tuple[int | str, ...]) -> str:
    return ".".join(map(str, path)) or "the payload"


def _check_names(spec: TaskSpec, given: Any, written: Any) -> None:
    """Refuse a field that the type would silently drop."""
    if isinstance(given, dict) and isinstance(written, dict):
        for name in sorted(given.keys() - written.keys()):
            known = ", ".join(sorted(written)) or "none"
            raise RevisionError(f"the payload of {spec.name} has no field {name!r}; it has: {known}")


def _check_identity(spec: TaskSpec, arguments: Mapping[str, Any], before: Any, after: Any) -> None:
    """Refuse a change of a field that is part of the key: the text would be sent under the name of another one."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return
    for name in _key_fields(spec, arguments, before):
        if after.get(name) != before[name]:
            raise RevisionError(
                f"{name} is part of the key, so it stays {json.dumps(before[name], ensure_ascii=False)}; "
                f"make a new call for another one"
            )


def _key_fields(spec: TaskSpec, arguments: Mapping[str, Any], payload: Mapping[str, Any]) -> list[str]:
    """Return the fields of a payload that an argument of the key names: `post_id` is `post_id`, or an `id` of that value."""
    return [
        field
        for field in payload
        for name in spec.key_arguments
        if name == field or (name.endswith(f"_{field}") and payload[field] == arguments.get(name))
    ]
