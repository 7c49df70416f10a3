"""`GET /calls/{id}`: what became of a call. It tells no arguments; what a task answers, it tells."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gatekeeper.gate import agents
from state import store, story
from web import waiting

#: What is told of a call, in this order.
TOLD = ("call", "agent", "task", "key", "state", "result", "answer")


async def show(request: Request) -> Response:
    """State and result of one call."""
    told = await waiting.for_store(partial(_look_up, str(request.path_params["call"])))
    if told is None:
        raise HTTPException(404, "no call of this id is known; finished ones are forgotten after a while")
    return JSONResponse(told, headers={"Cache-Control": "no-store"})


def _look_up(call: str) -> dict[str, Any] | None:
    for agent in agents():
        found = story.of_call(store.client(), agent, call)
        if found:
            told = {name: found.get(name) for name in TOLD}
            # A call that was refused may name a key whose result is another call's.
            return told if told["state"] == "done" else told | {"result": None}
    return None
