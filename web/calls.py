"""`GET /calls/{id}`: what became of a call. It tells no arguments; what a task answers, it tells.

Whoever has the signed address that the webhook was answered with sees all of it. Without the signature a request that
comes straight from this machine sees how far the call is; every other one sees nothing, not even whether there is one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gatekeeper.policies.spec import agents
from gatekeeper.redact import clean
from state.agents import history
from web import blocking, hosts, links, problems

log = structlog.get_logger("gatehouse.web")

#: What is told of a call, in this order.
TOLD = ("call", "agent", "task", "key", "state", "result", "answer")
#: What is told without a signature. A key may name a person, a result may be a whole analysis; and a proxy on this machine
#: that hides where a request comes from makes a stranger look like this machine.
TOLD_UNSIGNED = ("call", "agent", "task", "state")


async def show(request: Request) -> Response:
    """State and result of one call."""
    call = str(request.path_params["call"])
    parts = TOLD if _is_signed(request, call) else TOLD_UNSIGNED
    told = await blocking.for_store(partial(_look_up, call))
    if told is None:
        raise HTTPException(404, "no call of this id is known; finished ones are forgotten after a while")
    return JSONResponse({name: told[name] for name in parts}, headers={"Cache-Control": "no-store"})


def address(call: str) -> str:
    """The signed address of a call's page; raises HTTPException 503 if it cannot be signed."""
    try:
        return links.of_call(call)
    except OSError as error:
        raise _unsigned(error) from error


def _is_signed(request: Request, call: str) -> bool:
    """Raise HTTPException 401 if the request may see nothing."""
    given = request.query_params.get(links.PARAMETER)
    if given is None and hosts.is_direct_from_here(request):
        return False
    try:
        if given is not None and links.is_signed(call, given):
            return True
    except OSError as error:
        raise _unsigned(error) from error
    why = "use the whole status_url that the webhook was answered with: the page of a call is for whoever made it"
    raise HTTPException(401, why, {"WWW-Authenticate": "Signature"})


def _unsigned(error: OSError) -> HTTPException:
    why = clean(str(error))
    log.error("addresses of calls cannot be signed", error=why, next="let this user read and write STATE_DIR/secrets")
    return HTTPException(503, "this server cannot sign addresses right now; come again", problems.later(blocking.AGAIN))


def _look_up(call: str) -> dict[str, Any] | None:
    for agent in agents():
        found = history.of_call(agent, call)
        if found:
            told = {name: found.get(name) for name in TOLD}
            # A call that was refused may name a key whose result is another call's.
            return told if told["state"] == "done" else told | {"result": None}
    return None
