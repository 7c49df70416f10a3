"""The small dicts that a task answers with, and what the ledger stores of them."""

from __future__ import annotations

import json
from typing import Any

from gatekeeper.policies.policy import Rung

Answer = dict[str, Any]


def kept(result: str, rung: Rung | None) -> str:
    """Return what the ledger stores of a success, as JSON text; `result` is JSON text already."""
    return f'{{"result":{result},"rung":{json.dumps(rung)}}}'


def success(key: str, kept_result: str, *, replayed: bool = False) -> Answer:
    """Return the answer of a task that ran, now or before."""
    return {"ok": True, "key": key, **json.loads(kept_result), "replayed": replayed}


def flawed(key: str, flaw: str, *, replayed: bool = False) -> Answer:
    """Return the answer to an effect that happened with a flaw: JSON text with error, stage and detail."""
    return {"ok": False, "key": key, "result": None, **json.loads(flaw), "replayed": replayed}


def refusal(key: str | None, receipt: dict[str, Any]) -> Answer:
    """Return the answer of a task that did not run; the receipt says why, and when it may."""
    return {"ok": False, "key": key, **receipt}
