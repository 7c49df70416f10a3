"""A payload that a person wrote: it must fit the task's type, and be what the key stands for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, Field

from gatekeeper.policies.policy import Effect, Policies
from gatekeeper.policies.spec import TaskSpec
from gatekeeper.run import payload_types
from gatekeeper.run.revision import RevisionError, check
from state.model import Proposal


class Letter(BaseModel):
    """A payload with the parts of a key, and two that a person may change."""

    id: str
    destination: str
    text: str = Field(max_length=20)
    tags: list[str] = []


def send(post_id: str, destination: str) -> str:
    """What stands behind the gate; it never runs here."""
    return f"{post_id} {destination}"


send.__module__ = "tasks.letters"

SPEC = TaskSpec(
    send, Policies("send:{destination}:{post_id}", (), (), None, Effect(), "2m", None, None, "10s", "7d")
)  # fmt: skip
ARGUMENTS = {"post_id": "hello", "destination": "feed"}
FIRST: dict[str, Any] = {"id": "hello", "destination": "feed", "text": "a bad text", "tags": []}


def revised(kind: type = Letter, first: Any = None, **changes: Any) -> str:
    before = FIRST if first is None else first
    proposal = Proposal(json.dumps(before), payload_types.name_of(kind))
    return check(SPEC, ARGUMENTS, proposal, json.dumps(before | changes))


def test_a_corrected_text_is_written_as_the_task_would_freeze_it() -> None:
    assert revised(text="a good text") == '{"id":"hello","destination":"feed","text":"a good text","tags":[]}'


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"text": "x" * 21}, "text: String should have at most 20 characters"),
        ({"text": None}, "text: Input should be a valid string"),
        ({"tags": ["a", 1]}, "tags.1: Input should be a valid string"),
        ({"titel": "a typing error"}, "has no field 'titel'; it has: destination, id, tags, text"),
        ({"destination": "mastodon"}, 'destination is part of the key, so it stays "feed"'),
        ({"id": "another"}, 'id is part of the key, so it stays "hello"'),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RevisionError) as raised:
        revised(**changes)
    assert told in str(raised.value)


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(RevisionError, match="the payload: Invalid JSON"):
        check(SPEC, ARGUMENTS, Proposal(json.dumps(FIRST), payload_types.name_of(Letter)), "{")


def test_a_plain_dict_may_change_but_for_what_its_key_is_made_of() -> None:
    plain = {"post_id": "hello", "text": "a bad text"}
    assert json.loads(revised(dict, plain, text="good", more=1)) == {"post_id": "hello", "text": "good", "more": 1}
    with pytest.raises(RevisionError, match="post_id is part of the key"):
        revised(dict, plain, post_id="another")


def test_a_plain_text_may_change() -> None:
    assert check(SPEC, ARGUMENTS, Proposal('"bad"', "builtins:str"), '"good"') == '"good"'


def test_a_type_that_is_not_loaded_here_is_refused_and_nothing_is_imported() -> None:
    with pytest.raises(RevisionError, match="antigravity:Letter, which this process does not know"):
        check(SPEC, ARGUMENTS, Proposal("{}", "antigravity:Letter"), "{}")


def test_a_payload_that_is_too_long_is_refused() -> None:
    with pytest.raises(RevisionError, match="at most 1048576 are kept"):
        check(SPEC, ARGUMENTS, Proposal('"bad"', "builtins:str"), json.dumps("x" * 1_048_576))
