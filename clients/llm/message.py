"""Take the text that a model wrote out of a chat completion, in any of the forms in which servers send it."""

from __future__ import annotations

import json
from typing import Any

from clients.llm.completion_error import CompletionError, UnusableReply
from clients.llm.dig import dig
from clients.llm.error_body import ErrorBody

#: How servers say that a reply ended before its time; in lower case.
_CUT_OFF = {"length", "max_tokens", "max_output_tokens", "model_length"}
_FILTERED = {
    "content_filter",
    "safety",
    "recitation",
    "sensitive",
    "blocked",
    "blocklist",
    "prohibited_content",
    "spii",
}
_BROKEN_OFF = {"error", "insufficient_system_resource", "aborted", "abort", "timeout"}
#: Where servers put the reasoning.
_REASONING = ("reasoning_content", "reasoning")
#: The types of parts that are not text for the reader.
_HIDDEN = {"thinking", "reasoning", "redacted_thinking", "tool_use", "tool_call", "refusal"}


def choice_of(body: Any) -> dict[str, Any] | None:
    """Return the first choice of a chat completion; None if there is none."""
    choice = dig(body, "choices", 0)
    return choice if isinstance(choice, dict) and not choice.get("error") else None


def text_of(choice: dict[str, Any]) -> str:
    """Return the text of a choice.

    Raises:
        CompletionError: there is none, or it is not whole; the message says why.

    """
    finish = str(choice.get("finish_reason") or "").lower()
    if finish in _CUT_OFF:
        raise UnusableReply("the reply was cut off at max_tokens")
    if finish in _FILTERED:
        raise UnusableReply("the reply was held back by a content filter")
    if finish in _BROKEN_OFF:
        raise CompletionError(f"the server broke the reply off ({finish})", "failed")
    message = _message(choice)
    text = _text(dig(message, "content"))
    if text.strip():
        return text
    if refusal := ErrorBody(_text(dig(message, "refusal"))).said:
        raise UnusableReply("the model refused to answer", said=refusal)
    if dig(message, "tool_calls") or dig(message, "function_call"):
        raise UnusableReply("the model called a tool instead of answering")
    return _thought_answer(message)


def written(choice: dict[str, Any]) -> str:
    """Return all that the model wrote, whether it can be used or not: its reasoning and its text."""
    message = _message(choice)
    return "".join(_text(dig(message, name)) for name in (*_REASONING, "content"))


def _message(choice: dict[str, Any]) -> Any:
    return choice.get("message") or choice.get("delta") or {"content": choice.get("text")}


def _thought_answer(message: Any) -> str:
    """Return the reasoning if it is nothing but JSON: some servers take an answer without reasoning for reasoning."""
    thought = _text(next(filter(None, (dig(message, name) for name in _REASONING)), None)).strip()
    if thought and not thought.startswith("{"):
        raise UnusableReply("the model wrote its reasoning and no answer")
    return thought


def _text(content: Any) -> str:
    """Return the text of a content: a text, a list of parts, one part, or JSON that the server parsed already."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        return "".join(_text(part) for part in content)
    if not isinstance(content, dict) or content.get("type") in _HIDDEN:
        return ""
    text = content.get("text", content.get("content"))
    if isinstance(text, dict):  # {"type": "text", "text": {"value": …}}
        text = text.get("value")
    if isinstance(text, str | list):
        return _text(text)
    return "" if "type" in content else json.dumps(content)
