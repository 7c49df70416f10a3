"""The bodies of requests that decide something."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from web.api.operation import ApiBody

#: A reason, in one line; a person reads it in the story and in the audit.
Why = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\w", description="The reason, for people")]
#: The version in `GET /api/held` of what the program saw.
Seen = Annotated[
    str,
    Field(
        pattern="^([0-9a-f]{16})?$", description="The version that was seen; if the key changed since, nothing happens"
    ),
]


class PauseBody(ApiBody):
    """The reason of a pause."""

    why: Why


class ResumeBody(ApiBody):
    """The reason of a resumption."""

    why: Why = "resumed"


class RunBody(ApiBody):
    """The entry of the schedule to run; an agent with one entry needs none."""

    why: Why = "run through the API"
    entry: Annotated[str, Field(max_length=100, description="The schedule entry")] = ""


#: By resolution: the field that belongs to it alone.
OWN_FIELDS = {"applied": "result", "not-applied": "force", "cancel": ""}


def _by_resolution(schema: dict[str, Any]) -> None:
    """Make the schema of a resolution one of three, each with its own field."""
    properties = schema.pop("properties")
    shared = {name: told for name, told in properties.items() if name not in OWN_FIELDS.values()}
    schema["oneOf"] = [
        {
            "type": "object",
            "properties": shared | {"how": {"const": how}} | ({own: properties[own]} if own else {}),
            "required": schema["required"],
            "additionalProperties": False,
        }
        for how, own in OWN_FIELDS.items()
    ]
    for name in ("additionalProperties", "type", "required"):
        schema.pop(name)


class ResolveBody(ApiBody):
    """The end of the doubt about a key, or of its waiting for a person."""

    model_config = ConfigDict(json_schema_extra=_by_resolution)

    how: Literal["applied", "not-applied", "cancel"]
    why: Why
    seen: Seen = ""
    result: Annotated[Any, Field(description="With applied: the answer when the key is asked for again")] = None
    force: Annotated[bool, Field(description="With not-applied: although its sender may be alive")] = False


class ApproveBody(ApiBody):
    """The approval of a held key, or of another payload instead of the one that waits."""

    why: Why = "approved"
    seen: Seen = ""
    payload: Annotated[Any, Field(description="Sent instead of the payload that waits")] = None


class ReviseBody(ApiBody):
    """Another payload instead of one that waits for an approval, or that its provider refused."""

    payload: Any
    why: Why
    seen: Seen = ""


class HostGoneBody(ApiBody):
    """The decision that a host never comes back."""

    why: Why
    force: Annotated[bool, Field(description="Although it gave a sign of life within the last minute")] = False


class AutonomyBody(ApiBody):
    """The mode of an agent: it sends nothing, asks a person before each effect, or acts."""

    mode: Literal["observe", "ask", "act"]
    why: Why


class RejectBody(ApiBody):
    """The refusal of a held key."""

    why: Why
    seen: Seen = ""
