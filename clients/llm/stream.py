"""Read a chat completion that a server streamed although nobody asked for a stream: some gateways always do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from clients.llm.dig import dig

_EVENT = "data:"
_BEGIN = re.compile(rb"\s*(?:data|event|id|retry)?:")


def is_stream(content: bytes) -> bool:
    """Return whether a body is a stream of server-sent events; a comment or an event's name may come before the first data."""
    return bool(_BEGIN.match(content)) and _EVENT.encode() in content


def joined(content: bytes) -> dict[str, Any]:
    """Return the completion whose pieces a stream holds.

    Raises:
        ValueError: a piece is not JSON, or there is none.

    """
    events = [line.removeprefix(_EVENT).strip() for line in content.decode().splitlines() if line.startswith(_EVENT)]
    chunks = [json.loads(event) for event in events if event.startswith("{")]
    if not chunks and "[DONE]" not in events:
        raise ValueError("no data")
    error = _last(dig(chunk, "error") for chunk in chunks)
    has_choice = any(dig(chunk, "choices", 0) for chunk in chunks)
    pieces = [dig(chunk, "choices", 0, "delta", "content") for chunk in chunks]
    message = {"content": "".join(piece for piece in pieces if isinstance(piece, str))}
    finish = _last(dig(chunk, "choices", 0, "finish_reason") for chunk in chunks)
    return {
        "choices": [{"message": message, "finish_reason": finish}] if has_choice or not error else [],
        "usage": _last(dig(chunk, "usage") for chunk in chunks),
        "error": error,
    }


def _last(values: Iterable[Any]) -> Any:
    return next(reversed([value for value in values if value]), None)
