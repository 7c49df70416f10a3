"""The answer to a call that does not run."""

from __future__ import annotations

from gatekeeper.run import answers
from state.decision import Refusal
from state.model import Call


def test_a_refusal_that_names_the_task_of_the_key_is_answered() -> None:
    call = Call("an id", "agent", "agent.two", "same:1", "{}", "", "python")
    receipt = {"error": "mismatch: this key belongs to another task", "stage": "key", "task": "agent.one"}

    assert answers.of_decision(call, Refusal(receipt)) == {"ok": False, "key": "same:1", **receipt}
