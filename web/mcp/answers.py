"""The answers of tools: a sentence for the model, and the same as JSON. A refusal is an error that says why and when."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from gatekeeper.redact import clean
from state.agents.progress import CallProgress
from state.model import Call
from web import links
from web.api import submission


@dataclass(frozen=True)
class ToolAnswer:
    """The answer of a tool. `said` is the sentence; `is_error` tells a model that what it wanted did not happen."""

    said: str
    content: dict[str, Any]
    is_error: bool = False

    @property
    def text(self) -> str:
        """The sentence and the JSON, for clients that pass on text only."""
        return f"{self.said}\n{json.dumps(self.content, ensure_ascii=False)}"


#: What is said of a call that has not ended.
_OPEN = {
    "held": "It waits for a person's decision, and nothing was sent. Do not call again: it runs once a person approves it.",
    "unknown": "It is in doubt: it may have happened. A person looks into it. Do not try to do it in another way.",
    "waiting": "It is on record, and runs by itself later",
}
_ON_RECORD = "It is on record, and has not ended yet. Do not start it in another way: it runs."


def of_call(call: Call, found: CallProgress | None) -> ToolAnswer:
    """Return the answer for a call that is on record; `found` is its progress, None if that is not known."""
    names = {"call": call.id, "status_url": links.signed_url(call.id)}
    if found is None:
        return ToolAnswer(_ON_RECORD, names)
    answer = submission.answer(call, found)
    if not found.has_ended:
        waits = {name: answer[name] for name in ("key", "error", "stage", "retry_after") if name in answer}
        return ToolAnswer(_of_open(found.state, answer), names | waits | {"state": found.state})
    content = names | {"state": found.state} | answer
    if answer["ok"]:
        return ToolAnswer("It was done before; nothing was done again." if found.replayed else "Done.", content)
    return ToolAnswer(_of_refusal(answer), content, is_error=True)


def of_mistake(error: Exception) -> ToolAnswer:
    """Return the answer for arguments that do not fit."""
    said = clean(str(error))
    return ToolAnswer(
        f"Refused: {said}. Nothing was done.", {"ok": False, "error": said, "stage": "input"}, is_error=True
    )


def of_problem(error: HTTPException) -> ToolAnswer:
    """Return the answer for what the web process cannot do now."""
    content: dict[str, Any] = {"ok": False, "error": error.detail, "stage": "web"}
    after = dict(error.headers or {}).get("Retry-After", "")
    if after.isdecimal():
        content["retry_after"] = int(after)
    return ToolAnswer(_of_refusal(content), content, is_error=True)


def _of_open(state: str, answer: dict[str, Any]) -> str:
    said = _OPEN.get(state, _ON_RECORD)
    if state != "waiting":
        return said
    after = f", in about {answer['retry_after']:g} s" if answer.get("retry_after") else ""
    return f"{said}{after}: {answer['error']}. Do not call again."


def _of_refusal(answer: dict[str, Any]) -> str:
    why = str(answer.get("error") or "refused")
    detail = answer.get("detail")
    more = f" ({detail})" if detail and detail != why else ""
    stage = f", at the stage {answer['stage']}" if answer.get("stage") else ""
    after = f" Try again in {answer['retry_after']:g} s." if answer.get("retry_after") else ""
    return f"Not done{stage}: {why}{more}.{after}"
